import { Pamt, EPT, REG, TDCX, pageTypeName } from '../pamt.ts';
import {
  BLOCKED, describeEntry, FREE, isLeaf, isTable, MAPPED, NL_BLOCKED, NL_MAPPED, pageOf, PENDING, PENDING_BLOCKED,
  stateName, stateOf, withoutLocks, type EntryState,
} from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { isSuccessClass } from '../status.ts';
import type { TdxRule } from './index.ts';

/** Which state changes each function may make; a function that is not listed makes none. Source: TDX-MODULE notes §3. */
const TRANSITIONS: ReadonlyMap<string, readonly (readonly [EntryState, EntryState])[]> = new Map([
  ['TDH.MEM.SEPT.ADD', [[FREE, NL_MAPPED]]],
  ['TDH.MEM.SEPT.REMOVE', [[NL_MAPPED, FREE], [NL_BLOCKED, FREE]]],
  ['TDH.MEM.PAGE.ADD', [[FREE, MAPPED]]],
  ['TDH.MEM.PAGE.AUG', [[FREE, PENDING]]],
  ['TDH.MEM.PAGE.REMOVE', [[MAPPED, FREE], [BLOCKED, FREE], [PENDING, FREE], [PENDING_BLOCKED, FREE]]],
  ['TDH.MEM.PAGE.PROMOTE', [
    [NL_MAPPED, MAPPED], [NL_MAPPED, PENDING], [NL_BLOCKED, MAPPED], [NL_BLOCKED, PENDING],
  ]],
  ['TDH.MEM.PAGE.DEMOTE', [
    [MAPPED, NL_MAPPED], [BLOCKED, NL_MAPPED], [PENDING, NL_MAPPED], [PENDING_BLOCKED, NL_MAPPED],
  ]],
  ['TDH.MEM.PAGE.RELOCATE', [[BLOCKED, MAPPED], [PENDING_BLOCKED, PENDING]]],
  ['TDH.MEM.RANGE.BLOCK', [[NL_MAPPED, NL_BLOCKED], [MAPPED, BLOCKED], [PENDING, PENDING_BLOCKED]]],
  ['TDH.MEM.RANGE.UNBLOCK', [[NL_BLOCKED, NL_MAPPED], [BLOCKED, MAPPED], [PENDING_BLOCKED, PENDING]]],
  ['TDG.MEM.PAGE.ACCEPT', [[PENDING, MAPPED]]],
]);

const T01: TdxRule = {
  id: 'T01',
  level: 'required',
  statement: 'A Secure EPT entry changes state only as the function that writes it may change it.',
  source: 'TDX-MODULE notes §3; transitions.json, observed rows',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        const from = stateOf(before);
        const to = stateOf(after);
        if (from === to) return;
        judge.exercised();
        const allowed = TRANSITIONS.get(call.name) ?? [];
        if (allowed.some(([f, t]) => f === from && t === to)) return;
        judge.violated(`${call.name} leaves ${stateName(from)} alone or takes it where it may`,
          `${stateName(from)} -> ${stateName(to)}`);
      },
    });
  },
};

const T02: TdxRule = {
  id: 'T02',
  level: 'required',
  statement: 'An entry is filled only in a table that is itself part of the TD: the parent comes before the child.',
  source: 'TDX-MODULE notes §2 (walk), §3 (SEPT.ADD links last)',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (stateOf(before) !== FREE || stateOf(after) === FREE || cell !== call.entryCell) return;
        judge.exercised();
        const type = tdx.pamt.type(call.table, 0);
        const owner = tdx.pamt.owner(call.table, 0);
        if ((type === EPT || type === TDCX) && owner === call.tdr) return;
        judge.violated('the table is a Secure EPT page of this TD', `its page is ${pageTypeName(type)}`);
      },
    });
  },
};

const T03: TdxRule = {
  id: 'T03',
  level: 'required',
  statement: 'A table is removed only when every one of its entries is FREE.',
  source: 'TDX-MODULE notes §3 (SEPT.REMOVE)',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after) => {
        if (!isTable(before) || stateOf(after) !== FREE) return;
        judge.exercised();
        for (let i = 0; i < tdx.geometry.fanout; i++) {
          const child = tdx.m.peek(tdx.memory.word(pageOf(before), i));
          if (stateOf(child) === FREE) continue;
          return judge.violated('every entry of the removed table FREE', `entry ${i} is ${describeEntry(child)}`);
        }
      },
    });
  },
};

const T04: TdxRule = {
  id: 'T04',
  level: 'required',
  statement: 'A page has one owner and one use: when a call has ended, PAMT says of the page what the tree says.',
  source: 'TDX-MODULE notes §2 (new page), §3; final dumps of the sequential recordings',
  versions: ['*'],
  watch: (tdx, judge) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.entryCell < 0 || !isSuccessClass(status)) return;
        const e = tdx.m.peek(call.entryCell);
        if (!isLeaf(e) && !isTable(e)) return;
        judge.exercised();
        const seen = disagreement(tdx, e, call.level, call.tdr);
        if (seen !== null) judge.violated(`PAMT agrees with ${describeEntry(withoutLocks(e))}`, seen);
      },
    });
  },
};

/** What PAMT says of the page of an entry, when it is not what it should say; else null. */
export function disagreement(tdx: TdxModule, e: number, level: number, tdr: number): string | null {
  const size = isTable(e) ? 0 : level;
  const page = tdx.geometry.align(pageOf(e), size);
  const meta = tdx.m.peek(tdx.pamt.meta(page, size));
  const wanted = isTable(e) ? EPT : REG;
  if (Pamt.typeOf(meta) === wanted && Pamt.ownerOf(meta) === tdr) return null;
  return `PAMT says ${pageTypeName(Pamt.typeOf(meta))}, owner ${Pamt.ownerOf(meta)}`;
}

export const ENTRY_RULES: readonly TdxRule[] = [T01, T02, T03, T04];
