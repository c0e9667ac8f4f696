import { MAPPED, pageOf, PENDING, stateOf } from '../entry.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T14',
  level: 'required',
  statement: 'A page that the guest accepts holds only zeroes when it becomes accessible.',
  source:
    'ABI Reference 348551, TDG.MEM.PAGE.ACCEPT leaf (TDCALL leaf 6); intel/tdx-module 1.5.01, ' +
    'src/td_dispatcher/vm_exits/tdg_mem_page_accept.c: tdg_mem_page_accept()',
  intent: 'The guest must not see what the host, or the TD that owned the page before, left in it.',
  hint:
    'Check that every 4K part of the page is zeroed before the entry becomes MAPPED, also after ' +
    'an interrupt.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after, { name, level }) => {
        if (name !== 'TDG.MEM.PAGE.ACCEPT') return;
        if (stateOf(before) !== PENDING || stateOf(after) !== MAPPED) return;
        report.exercised();
        for (let i = 0; i < tdx.geometry.span(level); i++) {
          const page = pageOf(after) + i;
          for (let word = 0; word < tdx.memory.wordsPerPage; word++) {
            if (tdx.m.peek(tdx.memory.word(page, word)) === 0) continue;
            return report.violated('zeroes', `word ${word} of page ${page} is not zero`);
          }
        }
      },
    });
  },
} satisfies TdxRule;
