/** A known bug, as a policy: one that is good, with one thing changed. */
import { upstream7 } from '../policies/upstream-7.ts';
import type { TdpMmu } from '../tdp-mmu/tdp-mmu.ts';
import type { Policy } from '../vm/policy.ts';

export interface Mutant {
  /** The file that it is in. */
  readonly file: string;
  /** The bug's id, e.g. `B-45`. */
  readonly id: string;
  readonly title: string;
  /** The commit, the thread, or the proposal that had it. */
  readonly source: string;
  /** The policy without the bug: it passes wherever the mutant is caught. */
  readonly base: Policy;
  /** The rules that it breaks: one of them has to catch it. */
  readonly breaks: readonly string[];
  readonly policy: Policy;
}

/** What a mutant's file says; `change` is what differs from `base`. */
export interface MutantText extends Omit<Mutant, 'policy' | 'file'> {
  readonly change: Partial<Policy>;
}

/** The mutant, whose policy is called like the bug: `b-45`. */
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

/** A mutant of the direct roots' MMU; `change` is what differs in it. */
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
