/** Finds the policy that a command line names: a shipped one by name, any other by file. */
import { existsSync } from 'node:fs';
import { nearly } from '../impl/did-you-mean.ts';
import { POLICIES, policyFrom } from '../impl/index.ts';
import { MUTANTS } from '../impl/mutants/index.ts';
import type { Policy } from '../impl/vm/policy.ts';
import { watchdog } from '../properties/checker/watchdog.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf, inFile } from './load-module.ts';

/** A policy to check, its name on the command line, and a watchdog if it is not a shipped one. */
export interface ChosenPolicy {
  readonly policy: Policy;
  readonly handle: string;
  readonly guard?: ReturnType<typeof watchdog>;
}

/** Returns the policy `name`, or the default export of the file `name`. @throws UsageError */
export async function policyNamed(name: string): Promise<ChosenPolicy> {
  const shipped = [...POLICIES, ...MUTANTS.map(({ policy }) => policy)].find(
    (policy) => policy.name === name.toLowerCase(),
  );
  if (shipped !== undefined) return { policy: shipped, handle: shipped.name };
  if (!existsSync(name))
    throw new UsageError(`there is no policy and no file "${name}"; ${hintFor(name)}`);
  const exported = await defaultExportOf(name);
  const policy = inFile(name, () => policyFrom(exported));
  return { policy, handle: name, guard: watchdog() };
}

/** What to name instead: the policy with nearly this name, or where all are listed. */
function hintFor(name: string): string {
  const meant = POLICIES.map((policy) => policy.name).find((known) => nearly(name, known));
  return meant === undefined
    ? '`sept policies` lists the policies and the known bugs'
    : `did you mean ${meant}?`;
}
