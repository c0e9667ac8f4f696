/**
 * TD exit: the vCPU leaves the TD, for whatever reason, and lets go of what it has kept since
 * TDH.VP.ENTER: its TDVPR and the TDR, locked shared.
 *
 * REFCOUNT goes down by the parity of the epoch in which the vCPU entered, wherever TD_EPOCH is by
 * now. The state is written first, so that a vCPU is never seen inside that nobody counts. Source:
 * module notes §3; epoch notes, rule 4; td_exit.c of the public module source for the order.
 */
import type { Steps } from '../../machine/step.ts';
import { SHARED } from '../locks.ts';
import type { TdxModule } from '../module.ts';
import { ownerOfTdvpr } from '../operands.ts';
import { SIZES } from '../pamt.ts';
import { refcountOf, VCPU_READY, VP } from '../td.ts';

/** `tdvpr` is the page number of the TDVPR of a vCPU that is in the guest. */
export function* tdExit(tdx: TdxModule, tdvpr: number): Steps<void> {
  const { m, memory, pamt, locks } = tdx;
  const tdr = ownerOfTdvpr(tdx, tdvpr);

  // EFFECT: the vCPU is out, and no longer counted
  yield* m.write(memory.word(tdvpr, VP.STATE), VCPU_READY);
  const epoch = m.peek(memory.word(tdvpr, VP.VCPU_EPOCH));
  yield* m.add(memory.word(tdr, refcountOf(epoch)), -1);

  // LOCK: given back, the TDR's own entry, then the TDVPR's with its parents
  yield* locks.release(pamt.lock(tdr, 0), 'sharexHp', SHARED);
  for (const size of SIZES.keys()) yield* locks.release(pamt.lock(tdvpr, size), 'sharexHp', SHARED);
}
