/** Short texts for entries and statuses in the rows of a TD's timeline. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { describeSpte, isPresent, pageOfSpte } from '../../../spec/kvm/spte.ts';
import { entryAt } from '../../../spec/machine/levels.ts';
import {
  isLeaf,
  isTable,
  pageOf,
  stateName,
  stateOf,
  type Entry,
} from '../../../spec/tdx/entry.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';

/** Names of the entry that maps `gfn` at `level`, and of those above it up to the root. */
export function entryNames(vm: Vm, gfn: number, level: number): string[] {
  const all: string[] = [];
  for (let at = level; at <= vm.mirror.rootLevel; at++)
    all.push(`entry ${entryAt(vm.tdx.geometry.align(gfn, at), at)}`);
  return all;
}

/** A status without its prefix, e.g. `SUCCESS`. */
export const shortStatus = (status: number): string => describeStatus(status).replace(/^TDX_/, '');
/** An entry of the Secure EPT, e.g. `PENDING p48`. */
export const shortEntry = (e: Entry): string =>
  stateName(stateOf(e)) + (isLeaf(e) || isTable(e) ? ` p${pageOf(e)}` : '');
/** A mirror entry, e.g. `leaf p48`. */
export const shortSpte = (spte: number): string =>
  describeSpte(spte).replace(
    / 0x[0-9a-f]+/,
    isPresent(spte) ? ` p${pageOfSpte(spte) & 0xfff}` : '',
  );
