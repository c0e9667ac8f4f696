/** Policies that a command line names: shipped ones by name, anybody's by file. */
import { existsSync } from 'node:fs';
import { POLICIES } from '../impl/index.ts';
import type { Policy } from '../impl/policy.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf } from './loading.ts';
import { watchdog } from './watchdog.ts';

const ENTRY_POINTS = ['fault', 'unmap', 'removeTable', 'promote', 'demote', 'removeSlot', 'destroy'] as const;

/** A policy to check, the name under which it was asked for, and a watchdog if it is not ours. */
export interface ChosenPolicy {
  readonly policy: Policy;
  readonly handle: string;
  readonly guard?: ReturnType<typeof watchdog>;
}

/** The policy called `name`, or the default export of the file `name`. @throws UsageError */
export async function policyNamed(name: string): Promise<ChosenPolicy> {
  const shipped = POLICIES.find((policy) => policy.name === name);
  if (shipped !== undefined) return { policy: shipped, handle: name };
  if (!existsSync(name)) {
    const names = POLICIES.map((policy) => policy.name).join(', ');
    throw new UsageError(`there is no policy and no file "${name}"; the policies are ${names}`);
  }
  return { policy: policyIn(name, await defaultExportOf(name)), handle: name, guard: watchdog() };
}

function policyIn(file: string, value: unknown): Policy {
  if (typeof value !== 'object' || value === null) {
    throw new UsageError(`${file} exports no policy: export one as default, e.g. { ...frozenMirror, name: 'mine' }`);
  }
  if (!('name' in value) || typeof value.name !== 'string' || value.name === '') {
    throw new UsageError(`${file}: the policy has no name`);
  }
  const named: object = { title: '', proposed: file, breaks: [], ...value };
  const missing = missingFrom(named);
  if (isPolicy(named)) return named;
  throw new UsageError(`${file}: the policy lacks ${missing.join(', ')}; spread a shipped policy for the defaults`);
}

function missingFrom(value: object): string[] {
  const fields = new Map<string, unknown>(Object.entries(value));
  return ENTRY_POINTS.filter((entry) => typeof fields.get(entry) !== 'function');
}

/** Called with the texts filled in: what can still lack are the entry points. */
const isPolicy = (value: object): value is Policy => missingFrom(value).length === 0;
