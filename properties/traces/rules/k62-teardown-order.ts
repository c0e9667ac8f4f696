import {
  FLUSHVP_NOT_DONE,
  TD_ASSOCIATED_PAGES_EXIST,
  type Status,
} from '../../../spec/tdx/status.ts';
import type { CallName } from '../reader/event-table.ts';
import { eventsOf } from '../tdx/call.ts';
import type { Tds } from '../tdx/follow.ts';
import { nameOfKey, type Td } from '../tdx/td.ts';
import { leafIn } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/** What each call at a TD's end needs from the ones before it; null when that is there. */
const MISSING: readonly (readonly [
  RegExp,
  (tds: Tds, td: Td) => string | null,
  ...by: CallName[],
])[] = [
  [/^tdh_mem_/, (_, td) => (td.isFlushed ? 'and VPFLUSHDONE has ended that' : null)],
  [
    /^tdh_mng_vpflushdone$/,
    (tds, td) => {
      const leaf = leafIn(tds, td, 0, Number.MAX_SAFE_INTEGER);
      return leaf === null ? null : `and the mirror still maps ${nameOfKey(leaf)}`;
    },
  ],
  [
    /^tdh_mng_key_freeid$/,
    (_, td) => (td.isWrittenBack ? null : 'and caches were not written back since VPFLUSHDONE'),
    'tdh_phymem_cache_wb',
  ],
  [
    /^tdh_phymem_page_reclaim$/,
    (_, td) => (td.isFreed ? null : 'and the HKID is not free: lines of the page may be dirty'),
    'tdh_mng_key_freeid',
  ],
];

/** Answers that say that something should have come before. */
const TOO_EARLY: readonly (readonly [CallName, Status, string])[] = [
  ['tdh_mng_vpflushdone', FLUSHVP_NOT_DONE, 'a vCPU is still associated with a processor'],
  [
    'tdh_phymem_page_reclaim',
    TD_ASSOCIATED_PAGES_EXIST,
    'the TDR is to come back, and the TD has other pages',
  ],
];

const K62: TraceRule = {
  id: 'K62',
  needs: eventsOf('tdh_mng_vpflushdone'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      for (const [name, missing, ...by] of MISSING) {
        if (!name.test(call.name) || !td.isSeenFromStart) continue;
        report.exercised(td.vm);
        const what = missing(tds, td);
        const where = { line: call.line, task, vm: td.vm, unless: by.flatMap(eventsOf) };
        if (what !== null) report.violated(where, `${call.name} is called, ${what}`);
      }
    });
    tds.ended.push((td, task, call) => {
      const early = TOO_EARLY.find(([name, status]) => name === call.name && call.is(status));
      if (early !== undefined)
        report.violated(
          { line: tds.world.e.line, task, vm: td.vm },
          `${call.name} is refused: ${early[2]}`,
        );
    });
  },
};

export default K62 satisfies TraceRule;
