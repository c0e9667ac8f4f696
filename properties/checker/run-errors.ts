/** Errors that end a check: the scenario, the policy or the module is unusable. */
import type { Policy } from '../../impl/vm/policy.ts';
import type { Vm } from '../../impl/vm/vm.ts';
import type { ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { guardOf, ModuleError, reasonOf } from './module-guard.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { formatScenario } from './scenarios/text.ts';
import { LIMIT_SECONDS, NoStep } from './watchdog.ts';

/** A scenario that no VM can run. */
export class UnusableScenario extends Error {
  override readonly name = 'UnusableScenario';
}

/** A policy that threw, or that yielded or returned what no policy can. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/** What a message names: the policy, and the module if it is from outside. */
export function subjectOf({ name }: Policy, module: ModuleVersion): string {
  const guard = guardOf(module);
  return `policy "${name}"${guard === undefined ? '' : ` on ${guard.title}`}`;
}

/** The error to report when a VM cannot be built for a policy. */
export function buildError(error: unknown, policy: Policy, module: ModuleVersion): Error {
  if (error instanceof ModuleError) return error;
  const reason =
    error instanceof NoStep ? `it is not ready after ${LIMIT_SECONDS} s` : reasonOf(error);
  const what = `${subjectOf(policy, module)}: its VM cannot be built: ${reason}`;
  return new PolicyError(what, { cause: error });
}

/** The error to report when a run throws: the scenario's, or that of the code, with its step. */
export function runError(
  error: unknown,
  { m, policy }: Vm,
  module: ModuleVersion,
  scenario: Scenario,
): Error {
  if (error instanceof UnusableScenario || error instanceof PolicyError) return error;
  const at = `step ${m.now} (${m.actors[m.current]?.name ?? 'no actor'})`;
  const replay = `replay it with the scenario '${formatScenario(scenario)}'`;
  if (error instanceof ModuleError) {
    const what = `${error.message}; at ${at} of policy "${policy.name}"; ${replay}`;
    return new ModuleError(what, { cause: error.cause });
  }
  const what = `${subjectOf(policy, module)} failed at ${at}: ${reasonOf(error)}; ${replay}`;
  return new PolicyError(what, { cause: error });
}
