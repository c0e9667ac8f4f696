/**
 * The Secure EPT as the hardware walker reads it. The module keeps A and D bits out of it (private
 * memory is mapped write-back, RWX), so a walk never writes.
 *
 * Source: docs/module-notes.md#entry-states.
 */
import type { TableFormat } from '../machine/walker.ts';
import { isLeaf, pageOf, permissionsOf } from './entry.ts';
import type { TdxModule } from './module.ts';

/** `touched` is called with every table page that the hardware reads. */
export function septFormat(
  tdx: TdxModule,
  rootLevel: number,
  touched: (page: number) => void,
): TableFormat {
  return {
    rootLevel,
    leafLevel: 0,
    span: (level) => tdx.geometry.span(level),
    cell: (table, gfn, level) => tdx.memory.word(table, tdx.geometry.index(gfn, level)),
    touch: touched,
    permissions: permissionsOf,
    isLeaf: (entry) => isLeaf(entry),
    isMisconfigured: () => false,
    target: pageOf,
    marked: (entry) => entry,
  };
}
