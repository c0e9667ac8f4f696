/**
 * Life-cycle scenarios: three TDs are created, built, run and taken down at the same time, each by
 * the call that is due, by one that is not, with a bad operand, or on hardware that fails.
 */
import type { Injection } from '../../../../spec/tdx/call.ts';
import { VCPU_UNINITIALIZED, VP } from '../../../../spec/tdx/td.ts';
import type { LifecycleConfig } from '../format/config.ts';
import { hexOf } from '../format/values.ts';
import type { Universes } from '../universe/universe.ts';
import { CALLS } from './calls.ts';
import { slip } from './invalid-operands.ts';
import type { Asked } from './record-step.ts';
import { OWN_MODULE, Recorder, type OwnScenario } from './record.ts';
import { withDice, type Dice } from './rng.ts';
import { Keeper, type Stage } from './td-tracker.ts';

const FIRST_TDR = 0x100000000n;
const MODULE_HKID = 32;

const configOf = (dice: Dice): LifecycleConfig & Readonly<Record<string, unknown>> => ({
  module: OWN_MODULE,
  packages: dice.percent(25) ? 2 : 1,
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

/** What brings a TD on, by how far it is. */
const DUE: Readonly<Record<Stage, readonly (readonly [weight: number, op: string])[]>> = {
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

/** What hardware can be made to fail at. */
const FAILURES: ReadonlyMap<string, readonly Injection[]> = new Map<string, readonly Injection[]>([
  ['TDH.MNG.CREATE', ['rdseedFails']],
  ['TDH.MNG.ADDCX', ['rdseedFails']],
  ['TDH.MNG.KEY.CONFIG', ['pconfigDeviceBusy', 'pconfigEntropyError']],
  ['TDH.MNG.INIT', ['tscAdjustMsrChanged', 'bootNt4BitSet']],
  ['TDH.VP.INIT', ['tscAdjustMsrChanged']],
]);

/** Most happens to the first TD. */
const TDS = [0, 0, 0, 0, 1, 1, 2];
/** In a hundred calls: those that are not due, that have a bad operand, that meet failing hardware. */
const NOT_DUE = 22;
const SLIPS = 14;
const FAILS = 10;
const LEAVES = 15;
const URGENT = 35;
const SHORTEST = 60;
const LONGEST = 120;

/** The scenario of a seed. */
export const lifecycleScenario = (seed: number, universes: Universes): OwnScenario =>
  withDice(seed, (dice) => {
    const config = configOf(dice);
    const keeper = new Keeper(new Recorder(config, universes), dice, config);
    const { recorder } = keeper;
    const length = SHORTEST + dice.below(LONGEST - SHORTEST);
    while (recorder.length < length && !recorder.halted) step(keeper, dice.pick(TDS));
    return recorder.finish(`own-life-${seed}`, seed);
  });

/** Something happens to a TD. */
function step(k: Keeper, td: number): void {
  const { dice, recorder } = k;
  if (dice.percent(LEAVES)) leave(k, td);
  if (dice.percent(1)) return fail(k, td);
  const op = dice.percent(NOT_DUE) ? dice.pick([...CALLS.keys()]) : dueOp(k, td);
  recorder.ask(spoiled(k, td, callOf(k, td, op)));
}

/** While a TD is built, its first vCPU is urgent. */
function dueOp(k: Keeper, td: number): string {
  const stage = k.stage(td);
  if (stage !== 'INITIALIZED' || !k.dice.percent(URGENT)) return k.dice.weighted(DUE[stage]);
  if (!k.exists(td, 0)) return 'TDH.VP.CREATE';
  if (k.lacking(td, 0) > 0) return 'TDH.VP.ADDCX';
  return k.vp(td, 0, VP.STATE) === VCPU_UNINITIALIZED ? 'TDH.VP.INIT' : 'TDH.MR.FINALIZE';
}

const callOf = (k: Keeper, td: number, op: string): Asked => {
  const build = CALLS.get(op);
  if (build === undefined) throw new Error(`there is no call of ${op}`);
  return build(k, td);
};

/** A vCPU that is in the guest comes out of it. */
function leave(k: Keeper, td: number): void {
  const vcpu = k.vcpuThat(td, (v) => k.isInside(td, v));
  if (k.isInside(td, vcpu)) k.recorder.ask({ op: 'HW.TD.EXIT', lp: vcpu, in: { vcpu, td } });
}

/** The TD is fatal for a while. */
function fail(k: Keeper, td: number): void {
  const setting = (data: string, note: string): unknown =>
    k.recorder.ask({ op: 'HARNESS.SET_LIFECYCLE', lp: k.lp(), in: { td, data, note } });
  if (k.stage(td) === 'none') return;
  setting('0x100', 'TDR.FATAL=1');
  for (const op of k.dice.shuffled([...CALLS.keys()]).slice(0, 8))
    k.recorder.ask(callOf(k, td, op));
  setting('0x101', 'TDR.FATAL=0');
}

/** The call as it is, with a bad operand, or on hardware that fails. */
function spoiled(k: Keeper, td: number, asked: Asked): Asked {
  const { dice } = k;
  const failure = dice.pickOrNull(FAILURES.get(asked.op) ?? []);
  if (failure !== null && dice.percent(FAILS))
    return { ...asked, in: { ...asked.in, inject: failure } };
  if (!dice.percent(SLIPS)) return asked;
  const { repeat: _, ...once } = asked;
  const { tdr, tdcx, tdvpr } = k.slot(td);
  return slip(once, dice, {
    tdr: BigInt(k.hpa(tdr)),
    tdvprs: tdvpr.map((page) => k.hpa(page)),
    otherTdr: BigInt(k.tdr((td + 1) % 3)),
    reservedPage: BigInt(k.config.reservedPage),
    somePage: BigInt(dice.pick(k.spare)),
    usedPage: BigInt(k.hpa(tdcx)),
    largePage: 0x100800000n,
    sharedBit: 1n << 47n,
  });
}
