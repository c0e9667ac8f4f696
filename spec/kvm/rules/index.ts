/**
 * The K rules that judge direct roots: those about the mirror and the module are in
 * properties/rules/.
 */
import flushes from './flushes.ts';
import leaving from './leaving.ts';
import locks from './locks.ts';
import roots from './roots.ts';
import type { KvmRule } from './rule.ts';
import staleness from './staleness.ts';
import tableLife from './table-life.ts';
import transitions from './transitions.ts';
import yields from './yields.ts';

const numberOf = ({ id }: KvmRule): number => Number(id.slice(1));

/** In the order of their numbers: of rules that are broken at one step, the first is reported. */
export const KVM_RULES: readonly KvmRule[] = [
  ...locks,
  ...transitions,
  ...tableLife,
  ...flushes,
  ...leaving,
  ...yields,
  ...roots,
  ...staleness,
].toSorted((a, b) => numberOf(a) - numberOf(b));
