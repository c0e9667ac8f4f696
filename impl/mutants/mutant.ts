/** Known bugs: a mutant is a policy that passes, with one change that makes it break a rule. */
import { upstream7 } from '../policies/upstream-7.ts';
import type { TdpMmu } from '../tdp-mmu/tdp-mmu.ts';
import type { Policy } from '../vm/policy.ts';

/** A known bug as a policy. */
export interface Mutant {
  /** Name of its file in impl/mutants/. */
  readonly file: string;
  /** The bug's id, e.g. `B-45`. */
  readonly id: string;
  /** What is wrong, in one sentence. */
  readonly title: string;
  /** The commit, the message or the proposal with the bug, or the commit that fixed it. */
  readonly source: string;
  /** The policy without the bug; it satisfies the rules that catch the mutant. */
  readonly base: Policy;
  /** Ids of the rules that the bug breaks; at least one of them catches it. */
  readonly breaks: readonly string[];
  /** `base` with the bug, named by the id in lower case: `b-45`. */
  readonly policy: Policy;
}

/** A mutant as its file defines it. */
export interface MutantText extends Omit<Mutant, 'policy' | 'file'> {
  /** Members of the policy that differ from `base`. */
  readonly change: Partial<Policy>;
}

/** Makes a mutant of a policy. */
export function mutant({ change, ...text }: MutantText): Omit<Mutant, 'file'> {
  const { id, title, source, base, breaks } = text;
  const { group: _, ...inherited } = base;
  const policy: Policy = {
    ...inherited,
    ...change,
    name: id.toLowerCase(),
    title,
    proposed: source,
    breaks: breaks.map((rule) => ({ rule, why: title })),
  };
  return { ...text, policy };
}

/** Makes a mutant of the MMU of direct roots; `base` defaults to upstream-7. */
export function directMutant({
  change,
  base = upstream7,
  ...text
}: Omit<MutantText, 'change' | 'base'> & {
  readonly base?: Policy;
  readonly change: Partial<TdpMmu> & ThisType<TdpMmu>;
}): Omit<Mutant, 'file'> {
  return mutant({ ...text, base, change: { direct: { ...base.direct, ...change } } });
}
