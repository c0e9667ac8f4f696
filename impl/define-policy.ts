/**
 * Policies from outside: a policy is a base with some members replaced. The base's members are the
 * list of entry points and texts that exist; a value that cannot be a policy is refused in one
 * line.
 */
import { kindOf, meantBy, membersOf, tagOf } from './members.ts';
import { frozenMirror } from './policies/frozen-mirror.ts';
import type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
import type { Policy } from './vm/policy.ts';

/** A policy as its author writes it: a name, and the members that differ from the base. */
export interface PartialPolicy extends Partial<Omit<Policy, 'direct' | 'name'>> {
  readonly name: string;
  /** Overrides of the MMU of direct roots; then `vms` defaults to ordinary VMs. */
  readonly direct?: Partial<TdpMmu> & ThisType<TdpMmu>;
}

/** A value is not a policy; the message is one line that says why. */
export class NoPolicy extends Error {
  override readonly name = 'NoPolicy';
}

/**
 * Returns the policy `base` with the members of `own`. The base's description of itself (`group`,
 * `title`, `proposed`, `breaks`) is not inherited; `never` is.
 *
 *     export default definePolicy({ name: 'my-policy', *unmap(vm, gfn, pages) { … } });
 *
 * @throws NoPolicy
 */
export const definePolicy = (
  own: PartialPolicy & ThisType<Policy>,
  base: Policy = frozenMirror,
): Policy => policyFrom(own, base);

/** {@link definePolicy} of a value of unknown type. @throws NoPolicy */
export function policyFrom(value: unknown, base: Policy = frozenMirror): Policy {
  if (typeof value !== 'object' || value === null) {
    throw new NoPolicy(
      "it exports no policy: export one as default, e.g. { name: 'mine', *unmap() { … } }",
    );
  }
  const own = membersOf(value);
  const { name } = own;
  if (typeof name !== 'string' || name === '')
    throw new NoPolicy("the policy has no name: add name: 'my-policy'");
  const { direct } = own;
  const { group: _, ...inherited } = base;
  const vms = direct === undefined ? base.vms : (['vm'] as const);
  const merged = mergedWith(
    { ...inherited, vms, title: `${base.name}, changed`, proposed: '', breaks: [] },
    own,
    name,
  );
  const problem = notReasons('breaks', own['breaks']) ?? notReasons('never', own['never']);
  if (problem !== null) throw new NoPolicy(`policy ${name}: ${problem}`);
  const isPart = typeof direct === 'object' && direct !== null;
  return {
    ...merged,
    direct: isPart ? mergedWith(base.direct, membersOf(direct), name) : base.direct,
    name,
  };
}

/** `base` with the members of `own`, each of the same type as the base's. @throws NoPolicy */
function mergedWith<Base extends object>(
  base: Base,
  own: Readonly<Record<string, unknown>>,
  name: string,
): Base {
  const inherited = new Map<string, unknown>(Object.entries(base));
  for (const [key, member] of Object.entries(own)) {
    const problem = inherited.has(key)
      ? mistyped(key, member, inherited.get(key))
      : misspelt(key, inherited.keys());
    if (problem !== null) throw new NoPolicy(`policy ${name}: ${problem}`);
  }
  const entries = Object.entries(own).filter(
    ([key, member]) => isGenerator(inherited.get(key)) && !isGenerator(member),
  );
  const guarded = Object.fromEntries(entries.map(([key, member]) => [key, stepping(key, member)]));
  return { ...base, ...own, ...guarded };
}

const isGenerator = (value: unknown): boolean => tagOf(value) === '[object GeneratorFunction]';

/**
 * Wraps an entry point that is not a generator function: it may return the steps of one. @throws
 * TypeError if it returns anything else
 */
const stepping = (key: string, entry: unknown) =>
  function returnSteps(this: unknown, ...given: unknown[]): unknown {
    const steps: unknown = typeof entry === 'function' ? Reflect.apply(entry, this, given) : entry;
    if (tagOf(steps) === '[object Generator]') return steps;
    throw new TypeError(
      `${key} returned ${kindOf(steps)}, not steps; write it as a generator, *${key}(vm, …) { … }`,
    );
  };

/** What is wrong with a member that the base has too, or null. */
function mistyped(key: string, member: unknown, expected: unknown): string | null {
  if (kindOf(member) === kindOf(expected)) return null;
  const remedy =
    typeof expected === 'function' ? `: write it as a generator, *${key}(vm, …) { … }` : '';
  return `${key} is ${kindOf(member)}, not ${kindOf(expected)}${remedy}`;
}

/** What is wrong with a member that the base does not have, or null if it is a helper. */
function misspelt(key: string, known: Iterable<string>): string | null {
  const meant = meantBy(key, known);
  return meant === undefined
    ? null
    : `unknown member "${key}"; did you mean "${meant}"? If it is a helper, rename it`;
}

/** What is wrong with a list of rules and reasons, or null. */
function notReasons(key: string, list: unknown): string | null {
  const fine = list === undefined || (Array.isArray(list) && list.every(isReason));
  return fine ? null : `${key} is not a list of { rule: 'S01', why: '…' }`;
}

const isReason = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'rule' in value &&
  typeof value.rule === 'string' &&
  'why' in value &&
  typeof value.why === 'string';
