/**
 * The rules that traces are judged by. Several objects may judge one rule. Of violations at one
 * line the first ones come first: what is wrong with a change by itself, then what is wrong with it
 * where it is.
 */
import chains from './chains.ts';
import dirtyLog from './dirty-log.ts';
import flushes from './flushes.ts';
import guests from './guests.ts';
import hugePages from './huge-pages.ts';
import invalidation from './invalidation.ts';
import loggedHuge from './logged-huge.ts';
import roots from './roots.ts';
import type { TraceRule } from './rule.ts';
import tables from './tables.ts';
import tdxLeaving from './tdx-leaving.ts';
import tdxMirror from './tdx-mirror.ts';
import tdxRemoval from './tdx-removal.ts';
import tdxResizes from './tdx-resizes.ts';
import tdxVcpus from './tdx-vcpus.ts';
import teardown from './teardown.ts';
import transitions from './transitions.ts';

export const TRACE_RULES: readonly TraceRule[] = [
  ...transitions,
  ...chains,
  ...tables,
  ...roots,
  ...invalidation,
  ...flushes,
  ...guests,
  ...dirtyLog,
  ...loggedHuge,
  ...hugePages,
  ...teardown,
];

const numberOf = (id: string): number => Number(id.slice(1));

const idsOf = (rules: readonly TraceRule[]): string[] =>
  [...new Set(rules.map(({ id }) => id))].toSorted((a, b) => numberOf(a) - numberOf(b));

/** Ids, in the order of their numbers. */
export const TRACE_RULE_IDS: readonly string[] = idsOf(TRACE_RULES);

/** The rules about TDs: traces of a host that has some are judged by them, too. */
export const TDX_TRACE_RULES: readonly TraceRule[] = [
  ...tdxMirror,
  ...tdxLeaving,
  ...tdxRemoval,
  ...tdxVcpus,
  ...tdxResizes,
];
export const TDX_TRACE_RULE_IDS: readonly string[] = idsOf(TDX_TRACE_RULES);
