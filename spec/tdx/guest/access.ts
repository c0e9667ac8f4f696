/**
 * A guest access to private memory as the module's own walker emulates it: translated, refused with
 * a #VE, or ended by a TD exit. (The hardware's walk, with its TLB, is spec/machine's; this is what
 * the recordings' `HW.GUEST.ACCESS` did.) RCX is the GPA in bytes; on success RCX returns the HPA.
 *
 * Source: README of the recordings, deviation 9; module notes §4.
 */
import { PAGE_BYTES } from '../../machine/memory.ts';
import { isGuestAccessible, pageOf, PENDING, stateOf } from '../entry.ts';
import type { InterfaceFunction } from '../module.ts';
import { addressOf, gfnOf, ownerOfTdvpr, tdGet } from '../operands.ts';
import { walk } from '../sept.ts';
import * as S from '../status.ts';
import { advanceRip, noteViolation } from '../stepping.ts';
import { TD } from '../td.ts';
import { NOT_EXTENDED, PENDING_TYPE, violationExit } from './violation.ts';

export const guestAccess: InterfaceFunction = {
  name: 'HW.GUEST.ACCESS',
  release: [],
  *run(tdx, call) {
    const { rcx: gpa } = call.in;
    call.tdvpr = call.in.vcpu;
    call.tdr = ownerOfTdvpr(tdx, call.tdvpr);

    // GUARD: the translation
    yield* walk(tdx, call, gfnOf(gpa), 0);
    const pending = stateOf(call.entry) === PENDING;
    if (pending && tdGet(tdx, call, TD.SEPT_VE_DISABLE) === 0) {
      call.injectedVe = true;
      return S.SUCCESS;
    }
    if (!isGuestAccessible(call.entry)) {
      noteViolation(tdx, call.tdvpr, gpa);
      return yield* violationExit(tdx, call, gpa, pending ? PENDING_TYPE : NOT_EXTENDED);
    }

    // EFFECT: the access completes
    advanceRip(tdx, call.tdvpr);
    const page =
      tdx.geometry.align(pageOf(call.entry), call.level) +
      (gfnOf(gpa) % tdx.geometry.span(call.level));
    call.rcx = addressOf(tdx, page) + (gpa % PAGE_BYTES);
    return S.SUCCESS;
  },
};
