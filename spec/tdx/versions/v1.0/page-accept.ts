/**
 * TDG.MEM.PAGE.ACCEPT of module 1.0: the guest accepts a pending page; the module zeroes it and
 * maps it.
 *
 * RCX GPA and level (0 or 1). Every decision is about one read of the entry. The call then sets the
 * guest's lock (bit 62) and publishes its result by compare-and-exchange, against the value that it
 * read. The host does not look at that lock: RANGE.BLOCK goes through, and the guest, whose next
 * exchange fails, gets BUSY. A 2M page is zeroed 4K at a time; after each the entry gets the
 * progress, and only then a pending interrupt ends the call.
 *
 * Source: tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/td_dispatcher/vm_exits/tdg_mem_page_accept.c: tdg_mem_page_accept(),
 * check_tdaccept_failure(), update_sept_entry(); measured.
 */
import { RMW, TRY, type Steps, access } from '../../../machine/step.ts';
import { HELD_ENTRY, type Call } from '../../call.ts';
import {
  ENTRY_LOCK,
  FREE,
  isLeaf,
  MAPPED,
  pageOf,
  PENDING,
  stateOf,
  withState,
  type Entry,
} from '../../entry.ts';
import { acceptViolation } from '../../guest/violation.ts';
import { EXCLUSIVE } from '../../locks.ts';
import type { InterfaceFunction, TdxModule } from '../../module.ts';
import { gfnOf, mappingOperand, ownerOfTdvpr } from '../../operands.ts';
import { walk } from '../../sept.ts';
import * as S from '../../status.ts';
import { advanceRip, forgetAfterProgress } from '../../stepping.ts';
import { recordExit } from '../../vcpu.ts';

const BUSY = S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);

export const pageAccept: InterfaceFunction = {
  name: 'TDG.MEM.PAGE.ACCEPT',
  release: [HELD_ENTRY],
  *run(tdx, call) {
    call.tdvpr = call.in.vcpu;
    call.tdr = ownerOfTdvpr(tdx, call.tdvpr);
    yield* recordExit(tdx, call.tdvpr); // every TDCALL is a VM exit
    forgetAfterProgress(tdx, call.tdvpr);
    const status = yield* accept(tdx, call);
    if (call.exitReason < 0 && !call.interrupted) advanceRip(tdx, call.tdvpr);
    return status;
  },
};

function* accept(tdx: TdxModule, call: Call): Steps<S.Status> {
  // GUARD
  // 1. GPA and level
  const status = mappingOperand(tdx, call, 0, 1);
  if (status !== S.SUCCESS) return status;
  // 2. walk; entry state
  const reached = yield* walk(tdx, call, gfnOf(call.in.rcx), call.askedLevel);
  const { entry: found, level } = call;
  if (stateOf(found) === MAPPED) return S.on(S.PAGE_ALREADY_ACCEPTED, level);
  if (reached && stateOf(found) !== FREE && !isLeaf(found))
    return S.on(S.PAGE_SIZE_MISMATCH, level);
  if (!reached || stateOf(found) !== PENDING) return yield* acceptViolation(tdx, call);

  // LOCK
  // 3. entry, by compare-and-exchange
  const unlocked = found & ~ENTRY_LOCK;
  const locked = unlocked | ENTRY_LOCK;
  if (!(yield* exchange(tdx, call, unlocked, locked, TRY))) {
    if ((tdx.m.peek(call.entryCell) & ENTRY_LOCK) !== 0)
      tdx.locks.notify('refused', call.entryCell, EXCLUSIVE);
    return BUSY;
  }
  tdx.locks.notify('taken', call.entryCell, EXCLUSIVE);
  call.hold(HELD_ENTRY, call.entryCell, EXCLUSIVE);

  // EFFECT
  // 4. 4K after 4K zeroed; the progress, or in the end MAPPED
  const first = tdx.geometry.align(pageOf(found), level);
  const count = tdx.geometry.span(level);
  let before = locked;
  for (let done = pageOf(found) - first; ; done++) {
    tdx.memory.zero(first + done);
    const isLast = done + 1 >= count;
    const target = before - pageOf(before) + first;
    const after = isLast ? withState(target & ~ENTRY_LOCK, MAPPED) : target + done + 1;
    if (!(yield* exchange(tdx, call, before, after))) return BUSY;
    if (isLast) {
      call.drop(HELD_ENTRY);
      tdx.locks.notify('released', call.entryCell, EXCLUSIVE);
      return S.SUCCESS;
    }
    before = after;
    // 5. a pending interrupt ends the call, which keeps the progress
    if (tdx.interruptPending(call)) {
      call.interrupted = true;
      return S.SUCCESS;
    }
  }
}

/** One compare-and-exchange of the entry; false if another value was there. */
function* exchange(
  tdx: TdxModule,
  call: Call,
  before: Entry,
  after: Entry,
  kind: typeof RMW | typeof TRY = RMW,
): Steps<boolean> {
  const cell = call.entryCell;
  yield access(cell, kind);
  if (tdx.m.peek(cell) !== before) {
    call.busyLock = cell;
    return false;
  }
  tdx.m.poke(cell, after);
  for (const listener of tdx.listeners) listener.entryWritten?.(cell, before, after, call);
  call.entry = after;
  return true;
}
