/**
 * What the harness that made the recordings shows of itself. It looked at a TD's memory from
 * outside, so its dumps tell things that no interface function does: nothing here says anything
 * about the module.
 */
import { TDCX } from '../../../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../../../spec/tdx/status.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import type { RecordedStep } from '../format/step.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import type { Performed } from './perform.ts';

const FOUR_LEVELS = 4;

/** To be called after each step, before it is compared. */
export function followStep(u: Universe, slot: Slot, step: RecordedStep, { call }: Performed): void {
  if (u.isSequential) return;
  if (step.op === 'TDH.MNG.CREATE') u.dumpLevels.delete(slot.td);
  if (step.op === 'TDH.MNG.INIT' && call.status === SUCCESS) {
    u.dumpLevels.set(slot.td, word(u, slot.tdr, TD.ROOT_LEVEL));
  }
  markTdcs(u, slot);
}

/**
 * Level of the root in dumps. In life-cycle recordings the harness remembered it per TD: from the
 * last successful TDH.MNG.INIT on, and four levels from the last attempt of TDH.MNG.CREATE on, even
 * one that was refused.
 */
export const dumpLevel = (u: Universe, { td, tdr }: Slot): number =>
  u.isSequential ? word(u, tdr, TD.ROOT_LEVEL) : (u.dumpLevels.get(td) ?? FOUR_LEVELS - 1);

/**
 * The harness read the TDCS where it lies, on the TDCX pages; the specification keeps it on the TDR
 * page. That shows when a TD that is torn down has lost its first TDCX page to somebody who zeroed
 * it. So the page is marked, at an offset that nothing else uses, and the mark goes when the
 * contents go.
 */
const markOf = (u: Universe, slot: Slot): number =>
  u.tdx.memory.word(slot.tdcx, u.tdx.memory.wordsPerPage - 1);

function markTdcs(u: Universe, slot: Slot): void {
  const { pamt, m } = u.tdx;
  if (pamt.type(slot.tdcx, 0) === TDCX && pamt.owner(slot.tdcx, 0) === slot.tdr)
    m.poke(markOf(u, slot), 1);
}

/** Is the TDCS still there? */
export const holdsTdcs = (u: Universe, slot: Slot): boolean =>
  u.isSequential || u.tdx.m.peek(markOf(u, slot)) === 1;
