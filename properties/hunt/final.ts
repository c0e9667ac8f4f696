/**
 * What a run leaves that software can tell: the TD and its VCPUs, the tree, the pages in use. As a list of numbers, which
 * is as long as its tree is; without locks, requests for priority, and what is in pages that nobody owns.
 */
import { ENTRY_LOCK, HOST_PRIORITY, isTable, pageOf } from '../../spec/tdx/entry.ts';
import { NDA, Pamt, SIZES } from '../../spec/tdx/pamt.ts';
import { TD, VP } from '../../spec/tdx/td.ts';
import { TDR, TDVPRS, type ModuleWorld } from '../module/world.ts';

const TD_WORDS = [
  TD.LIFECYCLE, TD.HKID, TD.CHLDCNT, TD.OP_STATE, TD.TD_EPOCH, TD.REFCOUNT_EVEN, TD.REFCOUNT_ODD, TD.NUM_VCPUS,
] as const;

/** The state that the world is in now. */
export function stateOf({ m, memory, tdx }: ModuleWorld): number[] {
  const state: number[] = [];
  for (const field of TD_WORDS) state.push(m.peek(memory.word(TDR, field)));
  for (const tdvpr of TDVPRS) state.push(m.peek(memory.word(tdvpr, VP.STATE)));
  for (const size of SIZES.keys()) {
    for (let page = 0; page < memory.pages; page += tdx.geometry.span(size)) {
      const meta = m.peek(tdx.pamt.meta(page, size));
      if (Pamt.typeOf(meta) === NDA) state.push(NDA);
      else state.push(meta, m.peek(tdx.pamt.bepoch(page, size)));
    }
  }
  const descend = (table: number, level: number): void => {
    for (let i = 0; i < tdx.geometry.fanout; i++) {
      const entry = m.peek(memory.word(table, i)) & ~(ENTRY_LOCK | HOST_PRIORITY);
      state.push(entry);
      if (isTable(entry) && level > 0) descend(pageOf(entry), level - 1);
    }
  };
  descend(m.peek(memory.word(TDR, TD.SEPT_ROOT)), m.peek(memory.word(TDR, TD.ROOT_LEVEL)));
  return state;
}

/** Are two states the same? */
export const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);
