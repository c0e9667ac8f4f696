/**
 * Decides whether an order of the operations, each between its call and its return, agrees with a
 * sequential specification (linearizability: Herlihy and Wing 1990).
 */
import { Search } from './search.ts';
import {
  DEFAULT_LIMITS,
  type Limits,
  type Outcome,
  type Specification,
  type Timed,
} from './specification.ts';

/**
 * Judges a history, one partition at a time. Deterministic: the same history gives the same answer,
 * order and reasons. An unexplained partition decides, otherwise an unknown one.
 */
export function check<State, Op extends Timed>(
  spec: Specification<State, Op>,
  ops: readonly Op[],
  limits: Limits = DEFAULT_LIMITS,
): Outcome<Op> {
  const order: Op[] = [];
  let unknown: Outcome<Op> | null = null;
  for (const part of partitions(spec, ops)) {
    const outcome = new Search(spec, part, limits).run();
    if (outcome.verdict === 'unexplained') return outcome;
    if (outcome.verdict === 'unknown') unknown ??= outcome;
    else order.push(...outcome.order);
  }
  return unknown ?? { verdict: 'explained', order };
}

function partitions<State, Op extends Timed>(
  { partition }: Specification<State, Op>,
  ops: readonly Op[],
): Iterable<readonly Op[]> {
  if (partition === undefined) return [ops];
  const parts = new Map<string | number, Op[]>();
  for (const op of ops) {
    const name = partition(op);
    const part = parts.get(name);
    if (part === undefined) parts.set(name, [op]);
    else part.push(op);
  }
  return parts.values();
}
