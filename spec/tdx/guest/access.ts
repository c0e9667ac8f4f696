/**
 * A guest access to private memory as the module's own walker emulates it: translated, refused with
 * a #VE, or ended by a TD exit. (spec/machine has the hardware's walk, with its TLB.) RCX is the
 * GPA in bytes; on success RCX returns the HPA.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c:
 * check_walk_and_map_guest_side_gpa(); src/td_dispatcher/vm_exits/td_ept_violation.c:
 * td_ept_violation_exit(); docs/module-notes.md#how-it-was-measured.
 */
import { PAGE_BYTES } from '../../machine/memory.ts';
import { isGuestAccessible, pageOf, PENDING, stateOf } from '../entry.ts';
import type { InterfaceFunction } from '../module.ts';
import { addressOf, gfnOf, ownerOfTdvpr, tdGet } from '../operands.ts';
import { walk } from '../sept.ts';
import * as S from '../status.ts';
import { advanceRip, noteViolation } from '../stepping.ts';
import { TD } from '../td.ts';
import { recordExit } from '../vcpu.ts';
import { NOT_EXTENDED, PENDING_TYPE, violationExit } from './violation.ts';

export const guestAccess: InterfaceFunction = {
  name: 'HW.GUEST.ACCESS',
  release: [],
  *run(tdx, call) {
    const { rcx: gpa } = call.in;
    call.tdvpr = call.in.vcpu;
    call.tdr = ownerOfTdvpr(tdx, call.tdvpr);

    // GUARD
    // 1. walk to any leaf
    yield* walk(tdx, call, gfnOf(gpa), 0);
    // 2. #VE for a pending page, if the TD has not disabled it
    const pending = stateOf(call.entry) === PENDING;
    if (pending && tdGet(tdx, call, TD.SEPT_VE_DISABLE) === 0) {
      call.injectedVe = true;
      return S.SUCCESS;
    }
    // 3. TD exit for any other entry that does not translate
    if (!isGuestAccessible(call.entry)) {
      yield* recordExit(tdx, call.tdvpr);
      noteViolation(tdx, call.tdvpr, gpa);
      const extended = pending && tdx.version.reportsPending ? PENDING_TYPE : NOT_EXTENDED;
      return yield* violationExit(tdx, call, gpa, extended);
    }

    // EFFECT
    // 4. RIP; RCX := HPA
    advanceRip(tdx, call.tdvpr);
    const page =
      tdx.geometry.align(pageOf(call.entry), call.level) +
      (gfnOf(gpa) % tdx.geometry.span(call.level));
    call.rcx = addressOf(tdx, page) + (gpa % PAGE_BYTES);
    return S.SUCCESS;
  },
};
