/** The rules that traces are judged by. Several objects may judge one rule. */
import chains from './chains.ts';
import type { TraceRule } from './rule.ts';
import transitions from './transitions.ts';

export const TRACE_RULES: readonly TraceRule[] = [...chains, ...transitions];

const numberOf = (id: string): number => Number(id.slice(1));

/** Ids, in the order of their numbers. */
export const TRACE_RULE_IDS: readonly string[] =
  [...new Set(TRACE_RULES.map(({ id }) => id))].toSorted((a, b) => numberOf(a) - numberOf(b));
