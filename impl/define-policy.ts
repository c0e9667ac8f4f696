/**
 * Policies from outside: what is written is taken, what is not is a base's, and what cannot be a
 * policy is refused in one line. Which entry points and texts there are is read from the base:
 * nothing here lists them.
 */
import { nearly } from './did-you-mean.ts';
import { frozenMirror } from './policies/frozen-mirror.ts';
import type { TdpMmu } from './tdp-mmu/tdp-mmu.ts';
import type { Policy } from './vm/policy.ts';

/** A policy as somebody writes it: its name, and what differs from the base. */
export interface PartialPolicy extends Partial<Omit<Policy, 'direct' | 'name'>> {
  readonly name: string;
  /**
   * What is done differently about direct roots; then the policy runs ordinary VMs, unless `vms`
   * says otherwise.
   */
  readonly direct?: Partial<TdpMmu> & ThisType<TdpMmu>;
}

/** Something that is not a policy; the message is one line that says what is wrong with it. */
export class NoPolicy extends Error {
  override readonly name = 'NoPolicy';
}

/**
 * The policy that is `base` except for what `own` says. What a base says about itself (what it is,
 * who proposed it, what it breaks) is not inherited; what its rules' premises are (`never`) is.
 *
 *     export default definePolicy({ name: 'my-policy', *unmap(vm, gfn, pages) { … } });
 *
 * @throws NoPolicy
 */
export const definePolicy = (
  own: PartialPolicy & ThisType<Policy>,
  base: Policy = frozenMirror,
): Policy => policyFrom(own, base);

/** {@link definePolicy} of something that came from a file. @throws NoPolicy */
export function policyFrom(value: unknown, base: Policy = frozenMirror): Policy {
  if (typeof value !== 'object' || value === null) {
    throw new NoPolicy(
      "it exports no policy: export one as default, e.g. { name: 'mine', *unmap(vm, gfn, pages) { … } }",
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

/** `base` with the members of `own`, each of the type that the base's has. @throws NoPolicy */
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

const tagOf = (value: unknown): string => Object.prototype.toString.call(value);
const isGenerator = (value: unknown): boolean => tagOf(value) === '[object GeneratorFunction]';

/**
 * An entry point that is no generator itself: it may answer with the steps of one; else it says
 * what it lacks.
 */
const stepping = (key: string, entry: unknown) =>
  function answer(this: unknown, ...given: unknown[]): unknown {
    const steps: unknown = typeof entry === 'function' ? Reflect.apply(entry, this, given) : entry;
    if (tagOf(steps) === '[object Generator]') return steps;
    throw new TypeError(
      `${key} answered ${kindOf(steps)} instead of steps; write it as a generator, *${key}(vm, …) { … }`,
    );
  };

/** The members of an object and of its classes, methods included: a spread would lose those. */
function membersOf(value: object): Readonly<Record<string, unknown>> {
  const parent: unknown = Object.getPrototypeOf(value);
  const inherited =
    typeof parent === 'object' && parent !== null && parent !== Object.prototype
      ? membersOf(parent)
      : {};
  const names = Object.getOwnPropertyNames(value).filter((name) => name !== 'constructor');
  // read from `value`, so that a getter sees its object
  return {
    ...inherited,
    ...Object.fromEntries(names.map((name) => [name, Reflect.get(value, name)])),
  };
}

const kindOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'a list' : (KINDS[typeof value] ?? typeof value);

const KINDS: Readonly<Record<string, string>> = {
  function: 'a function',
  object: 'an object',
  string: 'a text',
  number: 'a number',
  undefined: 'undefined',
};

/** What is wrong with a member that the base has, too. */
function mistyped(key: string, member: unknown, expected: unknown): string | null {
  if (kindOf(member) === kindOf(expected)) return null;
  const remedy =
    typeof expected === 'function' ? `: write it as a generator, *${key}(vm, …) { … }` : '';
  return `${key} is ${kindOf(member)}, not ${kindOf(expected)}${remedy}`;
}

/** What is wrong with a member that the base does not have: helpers are welcome, slips are not. */
function misspelt(key: string, known: Iterable<string>): string | null {
  const meant = [...known].find((name) => nearly(key, name));
  return meant === undefined
    ? null
    : `there is no ${key}; is ${meant} meant? A helper needs a name that is less alike`;
}

/** What is wrong with a list of rules and reasons. */
function notReasons(key: string, list: unknown): string | null {
  const fine = list === undefined || (Array.isArray(list) && list.every(isReason));
  return fine ? null : `${key} is no list of { rule: 'S01', why: '…' }`;
}

const isReason = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'rule' in value &&
  typeof value.rule === 'string' &&
  'why' in value &&
  typeof value.why === 'string';
