/** Policies that a command line names: shipped ones by name, anybody's by file. */
import { existsSync } from 'node:fs';
import { NoPolicy, POLICIES, policyFrom } from '../impl/index.ts';
import { MUTANTS } from '../impl/mutants/index.ts';
import type { Policy } from '../impl/vm/policy.ts';
import { watchdog } from '../properties/checker/watchdog.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf } from './load-module.ts';

/** A policy to check, the name under which it was asked for, and a watchdog if it is not ours. */
export interface ChosenPolicy {
  readonly policy: Policy;
  readonly handle: string;
  readonly guard?: ReturnType<typeof watchdog>;
}

/** The policy called `name`, or the default export of the file `name`. @throws UsageError */
export async function policyNamed(name: string): Promise<ChosenPolicy> {
  const shipped = [...POLICIES, ...MUTANTS.map(({ policy }) => policy)].find(
    (policy) => policy.name === name.toLowerCase(),
  );
  if (shipped !== undefined) return { policy: shipped, handle: shipped.name };
  if (!existsSync(name)) {
    const names = POLICIES.map((policy) => policy.name).join(', ');
    throw new UsageError(
      `there is no policy and no file "${name}"; the policies are ${names}, and the known bugs b-01 to b-86`,
    );
  }
  return { policy: policyIn(name, await defaultExportOf(name)), handle: name, guard: watchdog() };
}

function policyIn(file: string, value: unknown): Policy {
  try {
    return policyFrom(value);
  } catch (error) {
    throw error instanceof NoPolicy ? new UsageError(`${file}: ${error.message}`) : error;
  }
}
