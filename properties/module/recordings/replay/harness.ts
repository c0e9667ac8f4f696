/**
 * Reproduces how the harness that made the recordings reads memory. It reads a TD's memory from
 * outside, so its dumps show more than any interface function does. Nothing here is about the
 * module.
 */
import { TDCX } from '../../../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../../../spec/tdx/status.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import type { RecordedStep } from '../format/step.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import type { Performed } from './perform.ts';

const FOUR_LEVELS = 4;

/** Call this after each step, before the step is compared. */
export function followStep(u: Universe, slot: Slot, step: RecordedStep, { call }: Performed): void {
  if (u.isSequential) return;
  if (step.op === 'TDH.MNG.CREATE') u.dumpLevels.delete(slot.td);
  const remembers = u.tdx.version.family !== '1.0';
  if (remembers && step.op === 'TDH.MNG.INIT' && call.status === SUCCESS) {
    u.dumpLevels.set(slot.td, word(u, slot.tdr, TD.ROOT_LEVEL));
  }
  markTdcs(u, slot);
}

/**
 * Level of the root in dumps. For life-cycle recordings, the harness remembered it for each TD:
 * four levels from the last attempt of TDH.MNG.CREATE on, even one that was refused; the TD's own
 * from the last successful TDH.MNG.INIT on. The harness of 1.0 always took four levels.
 */
export const dumpLevel = (u: Universe, { td, tdr }: Slot): number =>
  u.isSequential ? word(u, tdr, TD.ROOT_LEVEL) : (u.dumpLevels.get(td) ?? FOUR_LEVELS - 1);

/**
 * The harness read the TDCS where it is, on the TDCX pages; the specification keeps it on the TDR
 * page. The difference shows when the first TDCX page of a TD in teardown is reclaimed and zeroed.
 * So that page gets a mark, at an offset that nothing else uses; the mark disappears with the
 * content.
 */
const markOf = (u: Universe, slot: Slot): number =>
  u.tdx.memory.word(slot.tdcx, u.tdx.memory.wordsPerPage - 1);

function markTdcs(u: Universe, slot: Slot): void {
  const { pamt, m } = u.tdx;
  if (pamt.type(slot.tdcx, 0) === TDCX && pamt.owner(slot.tdcx, 0) === slot.tdr)
    m.poke(markOf(u, slot), 1);
}

/** The content of the TDCS is still on its pages. */
export const holdsTdcs = (u: Universe, slot: Slot): boolean =>
  u.isSequential || u.tdx.m.peek(markOf(u, slot)) === 1;
