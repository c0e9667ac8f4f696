/** Random calls of three or four actors on few pages, so that they meet in deep states. */
import { decode, tapeLength } from '../../../properties/checker/scenarios/arbitrary.ts';
import type { ActorRole } from '../../../properties/checker/scenarios/scenario.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { CALL_SHAPE, CallExplorer } from '../../support/call-explorer.ts';
import { Seeded } from '../machine/support.ts';

const BUSY: Readonly<Record<ActorRole, readonly string[]>> = {
  host: [
    'aug',
    'aug',
    'aug-other',
    'aug-huge',
    'add',
    'remove',
    'remove',
    'relocate',
    'block',
    'block',
    'block',
    'block-huge',
    'track',
    'track',
    'track',
    'unblock',
    'unblock-huge',
    'promote',
    'demote',
    'sept-add',
    'sept-remove',
    'read',
    'extend',
    'idle',
  ],
  vcpu: ['accept', 'accept', 'accept-huge', 'touch', 'idle', 'leave', 'leave'],
};

const WITH_PAMT = {
  ...BUSY,
  host: [...BUSY.host, 'pamt-add', 'pamt-add', 'pamt-remove', 'pamt-remove', 'pamt-remove'],
};

const SEEDS = 2500;

/** T rules that a module breaks under random calls, and those that they do not exercise. */
interface Outcome {
  readonly broken: readonly string[];
  readonly idle: readonly string[];
}

/** Runs random calls on a module; `finalize`: the TD can run, instead of being built. */
export function randomCalls(module: ModuleVersion, finalize: boolean): Outcome {
  const shape = {
    ...CALL_SHAPE,
    roles: ['host', 'vcpu', 'host', 'vcpu'] as const,
    operations: versionData(module).dynamicPamt ? WITH_PAMT : BUSY,
    gfns: 2,
    maxOperations: 24,
    maxDeviations: 0,
  };
  const explorer = new CallExplorer({ module, finalize });
  const broken = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const choices = new Seeded(seed);
    const tape = Uint8Array.from({ length: tapeLength(shape) }, () => choices.pick(256));
    const violation = explorer.run(decode(tape, shape), choices);
    if (violation !== null) broken.add(violation.rule);
  }
  const { rules } = explorer.book;
  return {
    broken: [...broken].toSorted(),
    idle: rules.map(({ id }) => id).filter((id) => explorer.book.timesExercised(id) === 0),
  };
}
