/** The K rules that judge direct roots: those about the mirror and the module are in properties/rules/. */
import flushes from './flushes.ts';
import locks from './locks.ts';
import roots from './roots.ts';
import type { KvmRule } from './rule.ts';
import staleness from './staleness.ts';
import transitions from './transitions.ts';
import yields from './yields.ts';

export const KVM_RULES: readonly KvmRule[] = [...locks, ...transitions, ...flushes, ...yields, ...roots, ...staleness];
