import { describeEntry, isLeaf, MAPPED, pageOf, PENDING, stateOf } from '../entry.ts';
import { classOf, PAGE_SIZE_MISMATCH } from '../status.ts';
import type { TdxRule } from './rule.ts';

const ACCEPT = 'TDG.MEM.PAGE.ACCEPT';

const T14: TdxRule = {
  id: 'T14',
  level: 'required',
  statement: 'A page that the guest accepts is all zeroes when it becomes accessible.',
  source: 'module notes §4',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after, call) => {
        if (call.name !== ACCEPT || stateOf(before) !== PENDING || stateOf(after) !== MAPPED)
          return;
        report.exercised();
        for (let i = 0; i < tdx.geometry.span(call.level); i++) {
          const page = pageOf(after) + i;
          for (let word = 0; word < tdx.memory.wordsPerPage; word++) {
            if (tdx.m.peek(tdx.memory.word(page, word)) === 0) continue;
            return report.violated('zeroes', `word ${word} of page ${page} is not zero`);
          }
        }
      },
    });
  },
};

const T15: TdxRule = {
  id: 'T15',
  level: 'required',
  statement:
    'ACCEPT answers PAGE_SIZE_MISMATCH only when the entry at that level is not a page of that size.',
  source: 'races.json; finding F1 (module 1.5 breaks it when PAGE.AUG races)',
  versions: ['*'],
  finding: { id: 'F1', versions: ['1.5'] },
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== ACCEPT || classOf(status) !== PAGE_SIZE_MISMATCH) return;
        report.exercised();
        const e = tdx.m.peek(call.entryCell);
        if (isLeaf(e)) report.violated('a table at that level', describeEntry(e));
      },
    });
  },
};

export const GUEST_RULES: readonly TdxRule[] = [T14, T15];
