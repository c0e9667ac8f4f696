import { Pamt, NDA, REG, TDVPR } from '../pamt.ts';
import { MODULE_HALT, SUCCESS } from '../status.ts';
import { refcountOf, TD, VCPU_ACTIVE, VP } from '../td.ts';
import type { TdxModule } from '../module.ts';
import type { TdxRule } from './index.ts';

/** Functions that take a page away from the guest and say so in PAMT: their own page, at the level of their entry. */
const REMOVERS = new Set(['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.RELOCATE']);

const T05: TdxRule = {
  id: 'T05',
  level: 'required',
  statement: 'A page leaves the TD only when no VCPU that entered before it was blocked is still inside.',
  source: 'EPOCH.md rules 3-6; TDX-MODULE notes §2 (tracking precondition)',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (!REMOVERS.has(call.name) || cell !== call.entryCell || before === after) return;
        const page = tdx.geometry.align(call.entry & 0x1ffffff, call.level);
        const blockedIn = tdx.m.peek(tdx.pamt.bepoch(page, call.level));
        let inside = false;
        for (const vcpu of vcpusOf(tdx, call.tdr)) {
          if (tdx.m.peek(tdx.memory.word(vcpu, VP.STATE)) !== VCPU_ACTIVE) continue;
          inside = true;
          const entered = tdx.m.peek(tdx.memory.word(vcpu, VP.VCPU_EPOCH));
          if (entered > blockedIn) continue;
          judge.violated(`every VCPU inside entered after epoch ${blockedIn}`, `one entered in epoch ${entered}`);
        }
        if (inside) judge.exercised();
      },
    });
  },
};

const T06: TdxRule = {
  id: 'T06',
  level: 'required',
  statement: 'REFCOUNT counts the VCPUs inside, by the parity of the epoch in which they entered.',
  source: 'EPOCH.md rules 3 and 4',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== 'TDH.MEM.TRACK' || status !== SUCCESS) return;
        judge.exercised();
        const counted = [0, 0];
        for (const vcpu of vcpusOf(tdx, call.tdr)) {
          if (tdx.m.peek(tdx.memory.word(vcpu, VP.STATE)) !== VCPU_ACTIVE) continue;
          counted[tdx.m.peek(tdx.memory.word(vcpu, VP.VCPU_EPOCH)) & 1]! += 1;
        }
        for (const parity of [0, 1]) {
          const kept = tdx.m.peek(tdx.memory.word(call.tdr, refcountOf(parity)));
          if (kept >= (counted[parity] ?? 0)) continue;
          judge.violated(`REFCOUNT[${parity}] of at least ${counted[parity]}`, String(kept));
        }
      },
    });
  },
};

/** TDVPR pages of a TD. Looks through all of PAMT: for the small platforms that rules run on. */
export function* vcpusOf(tdx: TdxModule, tdr: number): Generator<number> {
  for (let page = 0; page < tdx.memory.pages; page++) {
    const meta = tdx.m.peek(tdx.pamt.meta(page, 0));
    if (Pamt.typeOf(meta) === TDVPR && Pamt.ownerOf(meta) === tdr) yield page;
  }
}

const T07: TdxRule = {
  id: 'T07',
  level: 'required',
  statement: 'No interleaving of legal calls halts the module.',
  source: 'races.json; TDX-MODULE notes §6',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      ended: (call, status) => {
        judge.exercised();
        if (status === MODULE_HALT) judge.violated(`${call.name} returns a status`, 'the module halted the platform');
      },
    });
  },
};

const T08: TdxRule = {
  id: 'T08',
  level: 'required',
  statement: 'CHLDCNT is the number of 4 KiB pages that PAMT gives to the TD.',
  source: 'checks on the recordings (README); TDX-LIFECYCLE notes §4',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== 'TDH.PHYMEM.PAGE.RECLAIM' || status !== SUCCESS || call.tdr < 0 || call.tdr === call.page) return;
        judge.exercised();
        const counted = ownedPages(tdx, call.tdr);
        const kept = tdx.m.peek(tdx.memory.word(call.tdr, TD.CHLDCNT));
        if (kept !== counted) judge.violated(`CHLDCNT = ${counted}, the pages owned`, String(kept));
      },
    });
  },
};

/** 4 KiB pages that PAMT assigns to a TD, its TDR not counted. */
export function ownedPages(tdx: TdxModule, tdr: number): number {
  let owned = 0;
  for (let size = 0; size <= 2; size++) {
    const span = tdx.geometry.span(size);
    for (let page = 0; page < tdx.memory.pages; page += span) {
      const meta = tdx.m.peek(tdx.pamt.meta(page, size));
      if (Pamt.typeOf(meta) !== NDA && Pamt.ownerOf(meta) === tdr) owned += span;
    }
  }
  return owned;
}

/** Is a physical page the TD's private memory, at whatever size? */
export const isPrivate = (tdx: TdxModule, page: number): boolean => {
  const size = tdx.pamt.sizeOf(page);
  return tdx.pamt.type(tdx.geometry.align(page, size), size) === REG;
};

export const PAGE_RULES: readonly TdxRule[] = [T05, T06, T07, T08];
