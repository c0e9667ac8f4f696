/**
 * The stages of a TD's life, by the names that `lifecycle-conflicts.json` gives them. Source: the
 * names, and the status of each function that runs alone in each stage.
 */
import { TdBuilder } from './td-builder.ts';
import { SetupError, type Testbed } from './testbed.ts';

/** A stage, and the calls that lead to it from the stage before. */
type Stage = readonly [name: string, advance: (td: TdBuilder) => void];

const WRITE_BACK: Stage[1] = (td) => td.writeBack();

export const INITIALIZED_STAGE =
  'INITIALIZED (VCPU0 ready+associated, VCPU1 6 pages uninitialised)';

/** From the first stage to the last: TDs of 1.5 have two vCPUs and a Secure EPT. */
const STAGES_1_5: readonly Stage[] = [
  ['TDR page free', () => undefined],
  ['HKID_ASSIGNED', (td) => td.create()],
  [
    'KEYS_CONFIGURED, 3 TDCX',
    (td) => {
      td.configureKey();
      td.addTdcx(0, 3);
    },
  ],
  ['KEYS_CONFIGURED, 6 TDCX, not initialised', (td) => td.addTdcx(3, td.tdcxNeeded)],
  [
    INITIALIZED_STAGE,
    (td) => {
      td.initialise();
      td.createVcpu(0);
      td.createVcpu(1);
      td.initialiseVcpu(0);
      td.buildEntries();
    },
  ],
  [
    'RUNNABLE (VCPU0 not associated, VCPU1 associated)',
    (td) => {
      td.initialiseVcpu(1);
      td.flush(0);
      td.run();
    },
  ],
  ['RUNNABLE, no VCPU associated', (td) => td.flush(1)], // as recordings spell it
  ['BLOCKED, cache not written back', (td) => td.flushDone()],
  ['BLOCKED, cache written back', WRITE_BACK],
  ['TEARDOWN', (td) => td.freeKey()],
  ['TEARDOWN, only the TDR left', (td) => td.reclaimPages()],
];

/** TDs of 1.0 have one vCPU and no Secure EPT. */
const STAGES_1_0: readonly Stage[] = [
  ['no TDR', () => undefined],
  ['HKID_ASSIGNED', (td) => td.create()],
  [
    'KEYS_CONFIGURED, 3 TDCX',
    (td) => {
      td.configureKey();
      td.addTdcx(0, 3);
    },
  ],
  ['KEYS_CONFIGURED, 4 TDCX', (td) => td.addTdcx(3, td.tdcxNeeded)],
  ['INITIALIZED', (td) => td.initialise()],
  ['INITIALIZED, 5 TDVPS pages', (td) => td.createVcpu(0, td.tdvpsNeeded - 1)],
  ['INITIALIZED, 6 TDVPS pages', (td) => td.addTdvps(0, td.tdvpsNeeded - 1, td.tdvpsNeeded)],
  ['INITIALIZED, VCPU ready', (td) => td.initialiseVcpu(0)], // as recordings spell it
  ['RUNNABLE, VCPU associated', (td) => td.finalize()], // as recordings spell it
  ['RUNNABLE, VCPU flushed', (td) => td.flush(0)], // as recordings spell it
  ['BLOCKED', (td) => td.flushDone()],
  ['BLOCKED, caches written back', WRITE_BACK],
  ['TEARDOWN', (td) => td.freeKey()],
  ['TEARDOWN, only the TDR left', (td) => td.reclaimPages()],
];

const STAGES = { '1.0': STAGES_1_0, '1.5': STAGES_1_5 } as const;

/** The stages of TDs of a family's module. */
export const stageNames = (family: keyof typeof STAGES): readonly string[] =>
  STAGES[family].map(([name]) => name);

/**
 * Brings TD `i` into `stages[i]`. TDs whose build writes back the caches come first, so that it
 * does not write back the keys of the others. @throws SetupError for a stage without a set-up
 */
export function buildStages(testbed: Testbed, stages: readonly string[]): TdBuilder[] {
  const all = STAGES[testbed.conventions.tables];
  const builds = stages.map((name, td) => {
    const last = all.findIndex(([stage]) => stage === name);
    if (last < 0) throw new SetupError(`there is no set-up for the stage ${name}`);
    return { builder: new TdBuilder(testbed, td), calls: all.slice(0, last + 1) };
  });
  for (const first of [true, false]) {
    for (const { builder, calls } of builds) {
      const writesBack = calls.some(([, advance]) => advance === WRITE_BACK);
      if (writesBack === first) for (const [, advance] of calls) advance(builder);
    }
  }
  return builds.map(({ builder }) => builder);
}
