/**
 * The stages of a TD's life, by the names that `lifecycle-conflicts.json` gives them. Source: the
 * names, and the status of each function that runs alone in each stage.
 */
import { TdBuilder } from './td-builder.ts';
import { SetupError, type Testbed } from './testbed.ts';

type Build = (td: TdBuilder) => void;

const HKID_ASSIGNED: Build = (td) => td.create();
const TDCX_3: Build = (td) => {
  HKID_ASSIGNED(td);
  td.configureKey();
  td.addTdcx(0, 3);
};
const ALL_TDCX: Build = (td) => {
  TDCX_3(td);
  td.addTdcx(3, td.tdcxNeeded);
};
const INITIALIZED: Build = (td) => {
  ALL_TDCX(td);
  td.initialise();
  td.createVcpu(0);
  td.createVcpu(1);
  td.initialiseVcpu(0);
  td.buildEntries();
};
const RUNNABLE: Build = (td) => {
  INITIALIZED(td);
  td.initialiseVcpu(1);
  td.flush(0);
  td.run();
};
const NOT_ASSOCIATED: Build = (td) => {
  RUNNABLE(td);
  td.flush(1);
};
const KEY_BLOCKED: Build = (td) => {
  NOT_ASSOCIATED(td);
  td.flushDone();
};
const WRITTEN_BACK: Build = (td) => {
  KEY_BLOCKED(td);
  td.writeBack();
};
const TEARDOWN: Build = (td) => {
  WRITTEN_BACK(td);
  td.freeKey();
};
const ONLY_TDR: Build = (td) => {
  TEARDOWN(td);
  td.reclaimPages();
};

interface StageRow {
  readonly build: Build;
  /** The build writes back the caches: of every TD's key that is flushed by then. */
  readonly writesBack?: true;
}

export const INITIALIZED_STAGE =
  'INITIALIZED (VCPU0 ready+associated, VCPU1 6 pages uninitialised)';

const STAGES_1_5: ReadonlyMap<string, StageRow> = new Map<string, StageRow>([
  ['TDR page free', { build: () => undefined }],
  ['HKID_ASSIGNED', { build: HKID_ASSIGNED }],
  ['KEYS_CONFIGURED, 3 TDCX', { build: TDCX_3 }],
  ['KEYS_CONFIGURED, 6 TDCX, not initialised', { build: ALL_TDCX }],
  [INITIALIZED_STAGE, { build: INITIALIZED }],
  ['RUNNABLE (VCPU0 not associated, VCPU1 associated)', { build: RUNNABLE }],
  ['RUNNABLE, no VCPU associated', { build: NOT_ASSOCIATED }], // as recordings spell it
  ['BLOCKED, cache not written back', { build: KEY_BLOCKED }],
  ['BLOCKED, cache written back', { build: WRITTEN_BACK, writesBack: true }],
  ['TEARDOWN', { build: TEARDOWN, writesBack: true }],
  ['TEARDOWN, only the TDR left', { build: ONLY_TDR, writesBack: true }],
]);

/** The builds of 1.0: one vCPU, no Secure EPT. */
const ONLY_INITIALIZED: Build = (td) => {
  ALL_TDCX(td);
  td.initialise();
};
const PAGES_5: Build = (td) => {
  ONLY_INITIALIZED(td);
  td.createVcpu(0, td.tdvpsNeeded - 1);
};
const PAGES_6: Build = (td) => {
  ONLY_INITIALIZED(td);
  td.createVcpu(0);
};
const READY: Build = (td) => {
  PAGES_6(td);
  td.initialiseVcpu(0);
};
const ASSOCIATED: Build = (td) => {
  READY(td);
  td.finalize();
};
const FLUSHED: Build = (td) => {
  ASSOCIATED(td);
  td.flush(0);
};
const FLUSH_DONE: Build = (td) => {
  FLUSHED(td);
  td.flushDone();
};
const CLEANED: Build = (td) => {
  FLUSH_DONE(td);
  td.writeBack();
};
const KEY_FREED: Build = (td) => {
  CLEANED(td);
  td.freeKey();
};
const EMPTIED: Build = (td) => {
  KEY_FREED(td);
  td.reclaimPages();
};

const STAGES_1_0: ReadonlyMap<string, StageRow> = new Map<string, StageRow>([
  ['no TDR', { build: () => undefined }],
  ['HKID_ASSIGNED', { build: HKID_ASSIGNED }],
  ['KEYS_CONFIGURED, 3 TDCX', { build: TDCX_3 }],
  ['KEYS_CONFIGURED, 4 TDCX', { build: ALL_TDCX }],
  ['INITIALIZED', { build: ONLY_INITIALIZED }],
  ['INITIALIZED, 5 TDVPS pages', { build: PAGES_5 }],
  ['INITIALIZED, 6 TDVPS pages', { build: PAGES_6 }],
  ['INITIALIZED, VCPU ready', { build: READY }], // as recordings spell it
  ['RUNNABLE, VCPU associated', { build: ASSOCIATED }], // as recordings spell it
  ['RUNNABLE, VCPU flushed', { build: FLUSHED }], // as recordings spell it
  ['BLOCKED', { build: FLUSH_DONE }],
  ['BLOCKED, caches written back', { build: CLEANED, writesBack: true }],
  ['TEARDOWN', { build: KEY_FREED, writesBack: true }],
  ['TEARDOWN, only the TDR left', { build: EMPTIED, writesBack: true }],
]);

const STAGES = { '1.0': STAGES_1_0, '1.5': STAGES_1_5 } as const;

/** The stages of TDs of a family's module. */
export const stageNames = (family: keyof typeof STAGES): readonly string[] => [
  ...STAGES[family].keys(),
];

/**
 * Brings TD `i` into `stages[i]`. TDs whose build writes back the caches come first, so that it
 * does not write back the keys of the others. @throws SetupError for a stage without a set-up
 */
export function buildStages(testbed: Testbed, stages: readonly string[]): TdBuilder[] {
  const rows = stages.map((name) => {
    const row = STAGES[testbed.conventions.tables].get(name);
    if (row === undefined) throw new SetupError(`there is no set-up for the stage ${name}`);
    return row;
  });
  const builders = rows.map((_, td) => new TdBuilder(testbed, td));
  for (const first of [true, false]) {
    rows.forEach(({ build, writesBack }, td) => {
      if ((writesBack === true) === first) build(builders[td] as TdBuilder); // one for each row
    });
  }
  return builders;
}
