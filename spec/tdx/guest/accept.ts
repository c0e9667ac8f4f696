/**
 * TDG.MEM.PAGE.ACCEPT: the guest accepts a pending page; the module zeroes it and maps it.
 *
 * RCX GPA and level (0 or 1). It takes no tree or OP_STATE lock: the REFCOUNT of the running vCPU
 * keeps the tables on its way from being freed. A 2M page is zeroed 4K at a time; a pending
 * interrupt ends the call in between, and the entry keeps the progress.
 *
 * Finding F1 (docs/findings.md): in module 1.5 "is it a leaf?" is decided on the value from before
 * the entry lock, so a page that PAGE.AUG adds in between gets PAGE_SIZE_MISMATCH although its size
 * is right. Version 1.0 decides on one read (versions/v1.0/page-accept.ts).
 *
 * Source: ABI Reference 348551, TDG.MEM.PAGE.ACCEPT leaf (TDCALL leaf 6); intel/tdx-module 1.5.01,
 * src/td_dispatcher/vm_exits/tdg_mem_page_accept.c: tdg_mem_page_accept(),
 * check_tdaccept_failure(); src/common/helpers/tdx_locks.h: sept_lock_acquire_guest();
 * docs/module-notes.md#accept.
 */
import { TRY, type Steps, access } from '../../machine/step.ts';
import { HELD_ENTRY, type Call } from '../call.ts';
import {
  ENTRY_LOCK,
  EXPORTED_DIRTY,
  FREE,
  HOST_PRIORITY,
  isGuestAccessible,
  isLeaf,
  MAPPED,
  pageOf,
  PENDING,
  PENDING_EXPORTED_DIRTY,
  stateOf,
  withState,
  type Entry,
  type EntryState,
} from '../entry.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import { gfnOf, mappingOperand, ownerOfTdvpr } from '../operands.ts';
import { walk } from '../sept.ts';
import * as S from '../status.ts';
import { advanceRip } from '../stepping.ts';
import { acceptViolation } from './violation.ts';

/** The states that the guest can accept, with the state after that. */
const ACCEPTED_AS: ReadonlyMap<EntryState, EntryState> = new Map([
  [PENDING, MAPPED],
  [PENDING_EXPORTED_DIRTY, EXPORTED_DIRTY],
]);

export const pageAccept: InterfaceFunction = {
  name: 'TDG.MEM.PAGE.ACCEPT',
  release: [HELD_ENTRY],
  *run(tdx, call) {
    call.tdvpr = call.in.vcpu;
    call.tdr = ownerOfTdvpr(tdx, call.tdvpr);
    const status = yield* accept(tdx, call);
    if (call.exitReason < 0 && !call.interrupted) advanceRip(tdx, call.tdvpr);
    return status;
  },
};

function* accept(tdx: TdxModule, call: Call): Steps<S.Status> {
  let status: S.Status;

  // GUARD
  // 1. GPA and level
  if ((status = mappingOperand(tdx, call, 0, 1)) !== S.SUCCESS) return status;
  // 2. walk; it may stop above the level at a page that is accepted already
  if (!(yield* walk(tdx, call, gfnOf(call.in.rcx), call.askedLevel))) {
    if (isGuestAccessible(call.entry)) return S.on(S.PAGE_ALREADY_ACCEPTED, call.level);
    return yield* acceptViolation(tdx, call);
  }

  // LOCK
  // 3. entry, as a guest
  const before = call.entry;
  if ((status = yield* lockAsGuest(tdx, call)) !== S.SUCCESS) return status;

  // GUARD
  // 4. entry state
  const { level } = call;
  const now = call.entry;
  if (stateOf(now) !== FREE && !isLeaf(before)) return S.on(S.PAGE_SIZE_MISMATCH, level);
  if (isGuestAccessible(now)) return S.on(S.PAGE_ALREADY_ACCEPTED, level);
  if (!ACCEPTED_AS.has(stateOf(now))) {
    yield* tdx.release(call, HELD_ENTRY);
    return yield* acceptViolation(tdx, call);
  }

  // EFFECT
  // 5. page zeroed
  const accepted = zeroPages(tdx, call, now, level);
  // 6. entry := MAPPED; the whole entry is written, still locked
  yield* tdx.writeEntry(call, call.entryCell, accepted);
  return S.SUCCESS;
}

/**
 * The guest's attempt at the entry lock, and the reread of the entry. It is refused while the lock
 * is held, and with a status of its own while a host call has priority.
 */
function* lockAsGuest(tdx: TdxModule, call: Call): Steps<S.Status> {
  const cell = call.entryCell;
  yield access(cell, TRY);
  const e = tdx.m.peek(cell);
  if ((e & (ENTRY_LOCK | HOST_PRIORITY)) !== 0) {
    call.busyLock = cell;
    tdx.locks.notify('refused', cell, EXCLUSIVE);
    const status = (e & ENTRY_LOCK) !== 0 ? S.OPERAND_BUSY : S.OPERAND_BUSY_HOST_PRIORITY;
    return S.on(status, S.OPERANDS.RCX);
  }
  tdx.m.poke(cell, e | ENTRY_LOCK);
  tdx.locks.notify('taken', cell, EXCLUSIVE);
  call.hold(HELD_ENTRY, cell, EXCLUSIVE);
  call.entry = yield* tdx.m.read(call.entryCell);
  return S.SUCCESS;
}

/**
 * Zeroes the page from the stored progress on, with a check for an interrupt after each 4K but the
 * last. Returns the entry to write: accepted, or still pending with the new progress.
 */
function zeroPages(tdx: TdxModule, call: Call, e: Entry, level: number): Entry {
  const first = tdx.geometry.align(pageOf(e), level);
  const count = tdx.geometry.span(level);
  for (let done = pageOf(e) - first; done < count;) {
    tdx.memory.zero(first + done);
    done++;
    if (done < count && tdx.interruptPending(call)) {
      call.interrupted = true;
      return e - pageOf(e) + first + done;
    }
  }
  const accepted = ACCEPTED_AS.get(stateOf(e)) as EntryState; // accept() has checked it
  return withState(e - pageOf(e) + first, accepted);
}
