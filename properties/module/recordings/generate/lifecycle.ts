/**
 * Generates life-cycle scenarios: three TDs are created, built, run and torn down at the same time.
 * Each call is the next one of the TD's stage or any other one; some have an invalid operand, some
 * meet failing hardware.
 */
import type { Injection } from '../../../../spec/tdx/call.ts';
import { VCPU_UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type { LifecycleConfig } from '../format/config.ts';
import { hexOf } from '../format/values.ts';
import { CALLS } from './calls.ts';
import { withInvalidOperand } from './invalid-operands.ts';
import type { CallRequest } from './record-step.ts';
import { moduleNameOf, Recorder, type MakeScenario } from './record.ts';
import { withRng, type Rng } from './rng.ts';
import { TdTracker, type Stage } from './td-tracker.ts';

const FIRST_TDR = 0x100000000n;
const MODULE_HKID = 32;

const configOf = (
  rng: Rng,
  version: ModuleVersion,
): LifecycleConfig & Readonly<Record<string, unknown>> => ({
  module: moduleNameOf(version),
  packages: rng.percent(25) ? 2 : 1,
  lpPackage: 'lp % packages',
  privateHkids: [MODULE_HKID, MODULE_HKID + 4],
  moduleHkid: MODULE_HKID,
  cachedSubBlocks: 4,
  tdmr: { base: hexOf(FIRST_TDR), size: '0x100000000' },
  hkidBits: [46, 51],
  maxPa: 52,
  tdSlots: [0, 1, 2].map((td) => {
    const tdr = FIRST_TDR + BigInt(td) * 0x80000n;
    const tdvpr = [1n, 2n, 3n].map((vcpu) => hexOf(tdr + vcpu * 0x10000n));
    return { td, tdr: hexOf(tdr), tdcx: hexOf(tdr + 0x1000n), tdvpr };
  }),
  reservedPage: '0x1005ff000',
  pool4k: '0x100200000',
});

/** The calls that lead a TD to its next stage, by stage. */
const NEXT_CALLS: Readonly<Record<Stage, readonly (readonly [weight: number, op: string])[]>> = {
  none: [
    [12, 'TDH.MNG.CREATE'],
    [1, 'TDH.PHYMEM.PAGE.WBINVD'],
  ],
  HKID_ASSIGNED: [
    [12, 'TDH.MNG.KEY.CONFIG'],
    [1, 'TDH.MNG.VPFLUSHDONE'],
  ],
  UNINITIALIZED: [
    [6, 'TDH.MNG.ADDCX'],
    [8, 'TDH.MNG.INIT'],
  ],
  INITIALIZED: [
    [4, 'TDH.VP.CREATE'],
    [5, 'TDH.VP.ADDCX'],
    [5, 'TDH.VP.INIT'],
    [3, 'TDH.MR.FINALIZE'],
    [2, 'TDH.MNG.RD'],
    [3, 'TDH.MEM.SEPT.ADD'],
    [2, 'TDH.MEM.PAGE.ADD'],
    [1, 'TDH.MR.EXTEND'],
    [1, 'TDH.MEM.PAGE.AUG'],
    [1, 'TDH.MEM.RANGE.BLOCK'],
    [1, 'TDH.MEM.RANGE.UNBLOCK'],
    [1, 'TDH.MEM.PAGE.REMOVE'],
    [1, 'TDH.MEM.TRACK'],
    [1, 'TDH.VP.FLUSH'],
  ],
  RUNNABLE: [
    [4, 'TDH.VP.ENTER'],
    [5, 'TDH.VP.FLUSH'],
    [4, 'TDH.MNG.VPFLUSHDONE'],
    [2, 'TDH.MEM.TRACK'],
    [2, 'TDH.MNG.RD'],
    [2, 'TDH.MEM.PAGE.AUG'],
    [1, 'TDH.MEM.SEPT.ADD'],
    [1, 'TDH.MEM.SEPT.RD'],
  ],
  BLOCKED: [
    [6, 'TDH.PHYMEM.CACHE.WB'],
    [4, 'TDH.MNG.KEY.FREEID'],
  ],
  TEARDOWN: [
    [12, 'TDH.PHYMEM.PAGE.RECLAIM'],
    [1, 'TDH.PHYMEM.PAGE.WBINVD'],
  ],
};

/** Failures of the hardware that can be injected, by function. */
const FAILURES: ReadonlyMap<string, readonly Injection[]> = new Map<string, readonly Injection[]>([
  ['TDH.MNG.CREATE', ['rdseedFails']],
  ['TDH.MNG.ADDCX', ['rdseedFails']],
  ['TDH.MNG.KEY.CONFIG', ['pconfigDeviceBusy', 'pconfigEntropyError']],
  ['TDH.MNG.INIT', ['tscAdjustMsrChanged', 'bootNt4BitSet']],
  ['TDH.VP.INIT', ['tscAdjustMsrChanged']],
]);

/** TDs in proportion to their numbers of calls. */
const TDS = [0, 0, 0, 0, 1, 1, 2];
/** Percentages of calls: any function, an invalid operand, failing hardware, after an exit. */
const ANY_CALL = 22;
const INVALID = 14;
const FAILING = 10;
const AFTER_EXIT = 15;
/** Percentage of calls that build the first vCPU of a TD that is being built. */
const FIRST_VCPU = 35;
const SHORTEST = 60;
const LONGEST = 120;

/** The scenario of a seed. */
export const lifecycleScenario: MakeScenario = (seed, universes, version) =>
  withRng(seed, (rng) => {
    const config = configOf(rng, version);
    const keeper = new TdTracker(new Recorder(config, universes), rng, config);
    const { recorder } = keeper;
    const length = SHORTEST + rng.below(LONGEST - SHORTEST);
    while (recorder.length < length && !recorder.halted) step(keeper, rng.pick(TDS));
    return recorder.finish(`own-life-${seed}`, seed);
  });

/** Makes a call about a TD. */
function step(tds: TdTracker, td: number): void {
  const { rng, recorder } = tds;
  if (rng.percent(AFTER_EXIT)) leave(tds, td);
  if (rng.percent(1)) return whileFatal(tds, td);
  const op = rng.percent(ANY_CALL) ? rng.pick([...CALLS.keys()]) : nextOp(tds, td);
  recorder.call(changed(tds, td, callOf(tds, td, op)));
}

/** A function that leads the TD to its next stage. */
function nextOp(tds: TdTracker, td: number): string {
  const stage = tds.stage(td);
  if (stage !== 'INITIALIZED' || !tds.rng.percent(FIRST_VCPU))
    return tds.rng.weighted(NEXT_CALLS[stage]);
  if (!tds.exists(td, 0)) return 'TDH.VP.CREATE';
  if (tds.missingPages(td, 0) > 0) return 'TDH.VP.ADDCX';
  return tds.vp(td, 0, VP.STATE) === VCPU_UNINITIALIZED ? 'TDH.VP.INIT' : 'TDH.MR.FINALIZE';
}

const callOf = (tds: TdTracker, td: number, op: string): CallRequest => {
  const build = CALLS.get(op);
  if (build === undefined) throw new Error(`there is no call of ${op}`);
  return build(tds, td);
};

/** A vCPU that is in the guest leaves it. */
function leave(tds: TdTracker, td: number): void {
  const vcpu = tds.vcpuThat(td, (v) => tds.isInside(td, v));
  if (tds.isInside(td, vcpu)) tds.recorder.call({ op: 'HW.TD.EXIT', lp: vcpu, in: { vcpu, td } });
}

/** Makes the TD fatal for some calls. */
function whileFatal(tds: TdTracker, td: number): void {
  const setting = (data: string, note: string): unknown =>
    tds.recorder.call({ op: 'HARNESS.SET_LIFECYCLE', lp: tds.lp(), in: { td, data, note } });
  if (tds.stage(td) === 'none') return;
  setting('0x100', 'TDR.FATAL=1');
  for (const op of tds.rng.shuffled([...CALLS.keys()]).slice(0, 8))
    tds.recorder.call(callOf(tds, td, op));
  setting('0x101', 'TDR.FATAL=0');
}

/** Returns the call unchanged, with an invalid operand, or on failing hardware. */
function changed(tds: TdTracker, td: number, request: CallRequest): CallRequest {
  const { rng } = tds;
  const failure = rng.pickOrNull(FAILURES.get(request.op) ?? []);
  if (failure !== null && rng.percent(FAILING))
    return { ...request, in: { ...request.in, inject: failure } };
  if (!rng.percent(INVALID)) return request;
  const { repeat: _, ...once } = request;
  const { tdr, tdcx, tdvpr } = tds.slot(td);
  return withInvalidOperand(once, rng, {
    tdr: BigInt(tds.hpa(tdr)),
    tdvprs: tdvpr.map((page) => tds.hpa(page)),
    otherTdr: BigInt(tds.tdr((td + 1) % 3)),
    reservedPage: BigInt(tds.config.reservedPage),
    somePage: BigInt(rng.pick(tds.spare)),
    usedPage: BigInt(tds.hpa(tdcx)),
    largePage: 0x100800000n,
    sharedBit: 1n << 47n,
  });
}
