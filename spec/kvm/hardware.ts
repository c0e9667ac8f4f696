/**
 * Direct page tables as the hardware walks them. It sets A when it uses a leaf and D when it writes
 * through one, unless A and D are disabled in the root's role, and logs the page when it sets D
 * (PML). Source: Intel SDM volume 3, "Accessed and Dirty Flags for EPT", "Page-Modification
 * Logging".
 */
import { ALL_ACCESS, EXECUTE_ACCESS, READ_ACCESS, WRITE_ACCESS } from '../machine/tlb.ts';
import type { TableFormat } from '../machine/walker.ts';
import {
  ACCESSED,
  ACCESS_TRACKED,
  DIRTY,
  EXECUTABLE,
  isLeafSpte,
  kindOfSpte,
  pageOfSpte,
  TABLE,
  WRITABLE,
  type Spte,
} from './spte.ts';
import type { Tables } from './tables.ts';

function permissionsOf(spte: Spte): number {
  if (kindOfSpte(spte) === TABLE) return ALL_ACCESS;
  if (!isLeafSpte(spte) || (spte & ACCESS_TRACKED) !== 0) return 0;
  return (
    READ_ACCESS |
    ((spte & WRITABLE) === 0 ? 0 : WRITE_ACCESS) |
    ((spte & EXECUTABLE) === 0 ? 0 : EXECUTE_ACCESS)
  );
}

/**
 * Format of direct tables.
 *
 * @param adDisabled The hardware does not set A and D.
 * @param logged Called with the GFN of each leaf in which the hardware sets D.
 */
export function directFormat(
  tables: Tables,
  adDisabled: boolean,
  logged: (gfn: number) => void,
): TableFormat {
  return {
    rootLevel: tables.rootLevel,
    leafLevel: 0,
    span: (level) => tables.span(level),
    cell: (table, gfn, level) => tables.pages.word(table, tables.index(gfn, level)),
    touch: (table) => tables.pages.touch(table),
    permissions: permissionsOf,
    isLeaf: isLeafSpte,
    isMisconfigured: () => false,
    target: pageOfSpte,
    marked: (spte, _level, isWrite) =>
      adDisabled || !isLeafSpte(spte) ? spte : spte | ACCESSED | (isWrite ? DIRTY : 0),
    marking: (before, after, gfn) => {
      if (((before ^ after) & DIRTY) !== 0) logged(gfn);
    },
  };
}
