/**
 * TD exit: the vCPU leaves the TD, for whatever reason, and releases what it has held since
 * TDH.VP.ENTER: its TDVPR and the TDR, locked shared.
 *
 * The exit decrements the REFCOUNT of the epoch in which the vCPU entered, wherever TD_EPOCH is by
 * now. It writes the state first, so that a vCPU in the guest is always counted.
 *
 * Source: intel/tdx-module 1.5.01, src/td_transitions/td_exit.c: td_vmexit_to_vmm();
 * docs/module-notes.md#tlb-tracking.
 */
import type { Steps } from '../../machine/step.ts';
import { SHARED } from '../locks.ts';
import type { TdxModule } from '../module.ts';
import { ownerOfTdvpr } from '../operands.ts';
import { SIZES } from '../pamt.ts';
import { forgetAfterProgress } from '../stepping.ts';
import { refcountOf, TD, VCPU_READY, VP } from '../td.ts';
import { recordExit } from '../vcpu.ts';

/** The TD is fatal, and its version leaves the vCPU of such a TD as it was. */
export const isFatalExit = (tdx: TdxModule, tdr: number): boolean =>
  tdx.version.fatalExits && tdx.m.peek(tdx.memory.word(tdr, TD.FATAL)) !== 0;

/**
 * Takes the vCPU whose TDVPR is page `tdvpr` out of the guest for another reason than an EPT
 * violation.
 */
export function* tdExit(tdx: TdxModule, tdvpr: number): Steps<void> {
  yield* recordExit(tdx, tdvpr);
  if (tdx.version.exitResetsFilter) forgetAfterProgress(tdx, tdvpr);
  yield* leave(tdx, tdvpr);
}

/** {@link tdExit} for any reason, after the zero-step filter has looked at it. */
export function* leave(tdx: TdxModule, tdvpr: number): Steps<void> {
  const { m, memory, pamt, locks } = tdx;
  const tdr = ownerOfTdvpr(tdx, tdvpr);

  // EFFECT
  if (!isFatalExit(tdx, tdr)) {
    // 1. vCPU: READY
    yield* m.write(memory.word(tdvpr, VP.STATE), VCPU_READY);
    // 2. REFCOUNT of its epoch - 1
    const epoch = m.peek(memory.word(tdvpr, VP.VCPU_EPOCH));
    yield* m.add(memory.word(tdr, refcountOf(epoch)), -1);
  }

  // LOCK
  // 3. TDR released, then the TDVPR with its PAMT parents
  yield* locks.release(pamt.lock(tdr, 0), 'sharexHp', SHARED);
  for (const size of SIZES.keys()) yield* locks.release(pamt.lock(tdvpr, size), 'sharexHp', SHARED);
}
