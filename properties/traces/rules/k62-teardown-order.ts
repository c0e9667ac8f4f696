/** K62 in a trace: order of the calls that take a TD down. */
import {
  FLUSHVP_NOT_DONE,
  TD_ASSOCIATED_PAGES_EXIST,
  type Status,
} from '../../../spec/tdx/status.ts';
import type { CallName } from '../reader/event-table.ts';
import { eventsOf } from '../tdx/call.ts';
import type { Tds } from '../tdx/follow.ts';
import { nameOfKey, type Td } from '../tdx/td.ts';
import { mirrorLeafIn } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/**
 * Calls of the teardown, with a check of what must come before and the calls that do that. A check
 * returns what is wrong, or null.
 */
const PRECONDITIONS: readonly (readonly [
  RegExp,
  (tds: Tds, td: Td) => string | null,
  ...by: CallName[],
])[] = [
  [/^tdh_mem_/, (_, td) => (td.isFlushed ? 'after tdh_mng_vpflushdone' : null)],
  [
    /^tdh_mng_vpflushdone$/,
    (tds, td) => {
      const leaf = mirrorLeafIn(tds, td, 0, Number.MAX_SAFE_INTEGER);
      return leaf === null ? null : `while the mirror still maps ${nameOfKey(leaf)}`;
    },
  ],
  [
    /^tdh_mng_key_freeid$/,
    (_, td) => (td.isWrittenBack ? null : 'before tdh_phymem_cache_wb has written caches back'),
    'tdh_phymem_cache_wb',
  ],
  [
    /^tdh_phymem_page_reclaim$/,
    (_, td) =>
      td.isFreed ? null : 'before the HKID is free: lines of the page in a cache may be dirty',
    'tdh_mng_key_freeid',
  ],
];

/** Statuses by which the module says that a call came too early. */
const TOO_EARLY: readonly (readonly [CallName, Status, string])[] = [
  ['tdh_mng_vpflushdone', FLUSHVP_NOT_DONE, 'a vCPU is still associated with a processor'],
  ['tdh_phymem_page_reclaim', TD_ASSOCIATED_PAGES_EXIST, 'it is the TDR, and other pages remain'],
];

const rule: TraceRule = {
  id: 'K62',
  needs: eventsOf('tdh_mng_vpflushdone'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      for (const [name, check, ...by] of PRECONDITIONS) {
        if (!name.test(call.name) || !td.isSeenFromStart) continue;
        report.exercised(td.vm);
        const what = check(tds, td);
        const where = { line: call.line, task, vm: td.vm, unless: by.flatMap(eventsOf) };
        if (what !== null) report.violated(where, `calls ${call.name} ${what}`);
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

export default rule;
