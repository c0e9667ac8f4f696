/** Effects of the module's calls on a TD. */
import { CALL_NAMES, type CallName } from '../reader/event-table.ts';
import { pagesAt } from '../state/spte.ts';
import type { TracedCall } from './call.ts';
import type { Td } from './td.ts';

/** Applies the effect of a call that succeeded. */
export const EFFECTS: Partial<Record<CallName, (td: Td, call: TracedCall, line: number) => void>> =
  {
    tdh_mem_sept_add: (td, { gfn, level, frame }, line) =>
      td.set(gfn, level, { holds: 'table', frame, line }),
    tdh_mem_page_add: (td, { gfn, level, frame }, line) =>
      td.set(gfn, level, { holds: 'leaf', frame, line }),
    tdh_mem_page_aug: (td, { gfn, level, frame }, line) =>
      td.set(gfn, level, { holds: 'leaf', frame, line }),
    tdh_mem_range_block: (td, { gfn, level, before }, line) => {
      if (before !== null) td.set(gfn, level, { ...before, blockedIn: td.epoch, line });
    },
    tdh_mem_range_unblock: (td, { gfn, level, before }, line) => {
      if (before !== null) td.set(gfn, level, { ...before, blockedIn: -1, line });
    },
    tdh_mem_track: (td) => {
      td.epoch++;
    },
    tdh_mem_page_remove: (td, { gfn, level }, line) =>
      td.set(gfn, level, { holds: 'free', frame: -1, line }),
    tdh_mem_sept_remove: (td, { gfn, level }, line) =>
      td.set(gfn, level, { holds: 'free', frame: -1, line }),
    tdh_mem_page_demote: (td, { gfn, level, before }, line) =>
      td.set(gfn, level, { holds: 'table', frame: before?.frame ?? -1, split: true, line }),
    tdh_mem_page_promote: (td, { gfn, level }, line) => {
      const frame = td.at(gfn, level - 1)?.frame ?? -1;
      td.merge(gfn, level);
      td.set(gfn, level, { holds: 'leaf', frame, line });
    },
    tdh_mr_finalize: (td, _, line) => {
      td.finalLine = line;
    },
    tdh_mng_vpflushdone: (td) => {
      td.isFlushed = true;
    },
    tdh_phymem_cache_wb: (td) => {
      td.isWrittenBack = td.isFlushed;
    },
    tdh_mng_key_freeid: (td) => {
      td.isFreed = true;
    },
  };

/** Calls that name an entry of the Secure EPT. */
export const ABOUT_ENTRY: ReadonlySet<CallName> = new Set(
  CALL_NAMES.filter((name) => /^tdh_mem_(sept|page|range)_/.test(name)),
);

/** Frames that an entry at `level` maps. */
export function* framesOf(frame: number, level: number): Iterable<number> {
  for (let i = 0; i < pagesAt(level); i++) yield frame + i;
}
