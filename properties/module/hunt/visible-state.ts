/**
 * The state of a rig that software can observe: TDs and vCPUs, keys, the trees, the pages in use,
 * the memory that guests can read. A list of numbers, whose length depends on the trees. Lock bits
 * of entries, host priority and the contents of other pages are left out.
 */
import {
  ENTRY_LOCK,
  HOST_PRIORITY,
  isGuestAccessible,
  isTable,
  pageOf,
} from '../../../spec/tdx/entry.ts';
import { NDA, Pamt, PAMT, SIZES, TDR, TDVPR } from '../../../spec/tdx/pamt.ts';
import { KEYS_CONFIGURED, TD, VP } from '../../../spec/tdx/td.ts';
import type { ModuleRig } from '../rig/rig.ts';

const TD_WORDS = [
  TD.LIFECYCLE,
  TD.HKID,
  TD.CHLDCNT,
  TD.NUM_TDCX,
  TD.PKG_CONFIG_BITMAP,
  TD.OP_STATE,
  TD.TD_EPOCH,
  TD.REFCOUNT_EVEN,
  TD.REFCOUNT_ODD,
  TD.NUM_VCPUS,
  TD.NUM_ASSOC_VCPUS,
] as const;
const VP_WORDS = [VP.STATE, VP.ASSOC_LPID, VP.NUM_PAGES, VP.VCPU_INDEX] as const;

/** The current state of the rig. */
export function visibleState(rig: ModuleRig): number[] {
  const {
    m,
    memory,
    tdx: { geometry, keys, pamt, platform },
  } = rig;
  const state: number[] = [];
  for (const hkid of keys.hkids)
    state.push(m.peek(keys.state(hkid)), m.peek(keys.wbinvdBitmap(hkid)));
  for (let pkg = 0; pkg < platform.packages; pkg++) state.push(m.peek(keys.intrPoint(pkg)));
  for (const size of SIZES.keys()) {
    for (let page = 0; page < memory.pages; page += geometry.span(size)) {
      const meta = m.peek(pamt.meta(page, size));
      const type = Pamt.typeOf(meta);
      if (type === NDA) state.push(NDA);
      else state.push(meta, m.peek(pamt.bepoch(page, size)));
      if (type === PAMT && pamt.pairs !== null)
        state.push(pamt.pairs.pageOf(page, 0), pamt.pairs.pageOf(page, 1));
      if (size > 0) continue;
      if (type === TDVPR)
        for (const field of VP_WORDS) state.push(m.peek(memory.word(page, field)));
      if (type === TDR) tdState(rig, page, state);
    }
  }
  return state;
}

function tdState({ m, memory, tdx }: ModuleRig, tdr: number, state: number[]): void {
  const field = (word: number): number => m.peek(memory.word(tdr, word));
  for (const word of TD_WORDS) state.push(field(word));
  // no call walks the tree of a TD without keys, and its tables may belong to another TD
  if (field(TD.LIFECYCLE) !== KEYS_CONFIGURED || field(TD.NUM_TDCX) < tdx.version.tdcx.min) return;
  const descend = (table: number, level: number): void => {
    for (let i = 0; i < tdx.geometry.fanout; i++) {
      const entry = m.peek(memory.word(table, i)) & ~(ENTRY_LOCK | HOST_PRIORITY);
      state.push(entry);
      if (isTable(entry) && level > 0) descend(pageOf(entry), level - 1);
      else if (isGuestAccessible(entry)) memoryOf(pageOf(entry), tdx.geometry.span(level));
    }
  };
  const memoryOf = (first: number, pages: number): void => {
    for (let page = first; page < first + pages; page++)
      for (let i = 0; i < tdx.geometry.fanout; i++) state.push(m.peek(memory.word(page, i)));
  };
  descend(field(TD.SEPT_ROOT), field(TD.ROOT_LEVEL));
}

export const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);
