/** Refusals of the life-cycle functions. Source: docs/module-notes.md#life-cycle. */
import { describe, expect, test } from 'vitest';
import type { Operands } from '../../../spec/tdx/call.ts';
import { HKID_FREE } from '../../../spec/tdx/keys.ts';
import { EPT, Pamt, REG } from '../../../spec/tdx/pamt.ts';
import {
  HKID_ASSIGNED,
  TD,
  TD_BLOCKED,
  TEARDOWN,
  UNINITIALIZED,
  VCPU_READY,
  VP,
} from '../../../spec/tdx/td.ts';
import { FREE_PAGE, HKID, hpa, Testbed, TD_PARAMS, TDR, VCPUS } from './testbed.ts';

const vCPU = VCPUS[0];
const OTHER = 30;

/** The stage of the TD. */
type Stage = 'nothing' | 'created' | 'keyed' | 'initialised' | 'runnable';

function testbed(stage: Stage): Testbed {
  const bed = new Testbed();
  if (stage === 'nothing') return bed;
  if (stage === 'runnable') {
    bed.build();
    return bed;
  }
  if (stage === 'created') {
    bed.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
    return bed;
  }
  bed.create();
  if (stage === 'keyed') return bed;
  bed.ok('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: TD_PARAMS });
  bed.createVcpu(vCPU);
  return bed;
}

interface Row {
  readonly name: string;
  readonly stage: Stage;
  readonly operands: Partial<Operands>;
  readonly answer: string;
  /** Makes the fault. */
  readonly spoil?: (bed: Testbed) => void;
}

const setVcpu = (bed: Testbed, field: number, value: number): void =>
  bed.tdx.m.poke(bed.tdx.memory.word(vCPU, field), value);
const setTd =
  (field: number, value: number) =>
  (bed: Testbed): void =>
    bed.setTd(field, value);
const lockWbt = (bed: Testbed): void => bed.tdx.m.poke(bed.tdx.keys.wbtLock(0), 1);
const lockKot = (bed: Testbed): void => bed.tdx.m.poke(bed.tdx.keys.lock, 1);
const lockTdr = (bed: Testbed): void => bed.tdx.m.poke(bed.tdx.pamt.lock(TDR, 0), 1);
const fatal = setTd(TD.FATAL, 1);
const row = (
  name: string,
  stage: Stage,
  operands: Partial<Operands>,
  answer: string,
  spoil?: (bed: Testbed) => void,
): Row => ({ name, stage, operands, answer, ...(spoil && { spoil }) });

const CREATE = { rcx: hpa(TDR), rdx: HKID };
const ADDCX = { rcx: hpa(FREE_PAGE), rdx: hpa(TDR) };
const INIT = { rcx: hpa(TDR), rdx: 0, tdParams: TD_PARAMS };
const WRONG_CPUID = { ...TD_PARAMS, cpuidConfig: 1 };
const TD_ONLY = { rcx: hpa(TDR) };
const VCPU_ONLY = { rcx: hpa(vCPU) };
const VP_ADDCX = { rcx: hpa(FREE_PAGE), rdx: hpa(vCPU) };

const ROWS: readonly Row[] = [
  row('TDH.MNG.CREATE', 'nothing', { ...CREATE, rdx: 31 }, 'TDX_OPERAND_INVALID|RDX'),
  row('TDH.MNG.CREATE', 'nothing', { ...CREATE, rdx: 64 }, 'TDX_OPERAND_INVALID|RDX'),
  row('TDH.MNG.CREATE', 'nothing', { ...CREATE, rdx: 32 }, 'TDX_HKID_NOT_FREE'),
  row('TDH.MNG.CREATE', 'nothing', CREATE, 'TDX_OPERAND_BUSY|KOT', lockKot),
  row('TDH.MNG.CREATE', 'nothing', { ...CREATE, inject: 'rdseedFails' }, 'TDX_RND_NO_ENTROPY'),
  row('TDH.MNG.CREATE', 'created', { rcx: hpa(OTHER), rdx: HKID }, 'TDX_HKID_NOT_FREE'),

  row('TDH.MNG.KEY.CONFIG', 'created', TD_ONLY, 'TDX_TD_FATAL', fatal),
  row('TDH.MNG.KEY.CONFIG', 'keyed', TD_ONLY, 'TDX_LIFECYCLE_STATE_INCORRECT'),
  row(
    'TDH.MNG.KEY.CONFIG',
    'created',
    TD_ONLY,
    'TDX_KEY_CONFIGURED',
    setTd(TD.PKG_CONFIG_BITMAP, 1),
  ),
  row('TDH.MNG.KEY.CONFIG', 'created', TD_ONLY, 'TDX_OPERAND_BUSY|KET', (bed) =>
    bed.tdx.m.poke(bed.tdx.keys.ketLock, 1),
  ),
  row(
    'TDH.MNG.KEY.CONFIG',
    'created',
    { ...TD_ONLY, inject: 'pconfigDeviceBusy' },
    'TDX_OPERAND_BUSY|KET',
  ),
  row(
    'TDH.MNG.KEY.CONFIG',
    'created',
    { ...TD_ONLY, inject: 'pconfigEntropyError' },
    'TDX_KEY_GENERATION_FAILED',
  ),

  row('TDH.MNG.ADDCX', 'keyed', ADDCX, 'TDX_TD_FATAL', fatal),
  row('TDH.MNG.ADDCX', 'created', ADDCX, 'TDX_TD_KEYS_NOT_CONFIGURED'),
  row('TDH.MNG.ADDCX', 'keyed', ADDCX, 'TDX_TDCX_NUM_INCORRECT', setTd(TD.NUM_TDCX, 9)),
  row(
    'TDH.MNG.ADDCX',
    'keyed',
    { ...ADDCX, inject: 'rdseedFails' },
    'TDX_RND_NO_ENTROPY',
    setTd(TD.NUM_TDCX, 5),
  ),
  row('TDH.MNG.ADDCX', 'keyed', ADDCX, 'TDX_SUCCESS'),
  row('TDH.MNG.ADDCX', 'initialised', ADDCX, 'TDX_OP_STATE_INCORRECT'),

  row('TDH.MNG.INIT', 'keyed', { ...INIT, inject: 'bootNt4BitSet' }, 'TDX_LIMIT_CPUID_MAXVAL_SET'),
  row('TDH.MNG.INIT', 'initialised', INIT, 'TDX_OP_STATE_INCORRECT'),
  row('TDH.MNG.INIT', 'keyed', { ...INIT, tdParams: null }, 'TDX_OPERAND_INVALID|RDX'),
  row('TDH.MNG.INIT', 'keyed', { ...INIT, rdx: 512 }, 'TDX_OPERAND_INVALID|RDX'),
  row(
    'TDH.MNG.INIT',
    'keyed',
    { ...INIT, inject: 'tscAdjustMsrChanged' },
    'TDX_INCONSISTENT_MSR|IA32_TSC_ADJUST',
  ),
  row(
    'TDH.MNG.INIT',
    'keyed',
    { ...INIT, tdParams: WRONG_CPUID },
    'TDX_OPERAND_INVALID|CPUID_CONFIG',
  ),

  row('TDH.MNG.VPFLUSHDONE', 'created', TD_ONLY, 'TDX_OPERAND_BUSY|KOT', lockKot),
  row(
    'TDH.MNG.VPFLUSHDONE',
    'created',
    TD_ONLY,
    'TDX_LIFECYCLE_STATE_INCORRECT',
    setTd(TD.LIFECYCLE, TD_BLOCKED),
  ),
  row('TDH.MNG.VPFLUSHDONE', 'runnable', TD_ONLY, 'TDX_FLUSHVP_NOT_DONE'),
  row('TDH.MNG.KEY.FREEID', 'created', TD_ONLY, 'TDX_LIFECYCLE_STATE_INCORRECT'),
  row('TDH.MNG.KEY.FREEID', 'created', TD_ONLY, 'TDX_OPERAND_BUSY|KOT', (bed) => {
    bed.setTd(TD.LIFECYCLE, TD_BLOCKED);
    lockKot(bed);
  }),
  row('TDH.MNG.KEY.RECLAIMID', 'nothing', { rcx: 1 }, 'TDX_SUCCESS'),

  row('TDH.PHYMEM.CACHE.WB', 'nothing', { rcx: 2 }, 'TDX_OPERAND_INVALID|RCX'),
  row('TDH.PHYMEM.CACHE.WB', 'nothing', {}, 'TDX_OPERAND_BUSY|WBCACHE', lockWbt),
  row('TDH.PHYMEM.CACHE.WB', 'nothing', {}, 'TDX_OPERAND_BUSY|KOT', lockKot),

  row('TDH.VP.ADDCX', 'initialised', VP_ADDCX, 'TDX_OPERAND_BUSY|TDR', lockTdr),
  row('TDH.VP.ADDCX', 'initialised', VP_ADDCX, 'TDX_VCPU_STATE_INCORRECT', (bed) =>
    setVcpu(bed, VP.STATE, VCPU_READY),
  ),
  row('TDH.VP.ADDCX', 'initialised', VP_ADDCX, 'TDX_TDCX_NUM_INCORRECT', (bed) =>
    setVcpu(bed, VP.NUM_PAGES, 15),
  ),
  row('TDH.VP.ADDCX', 'initialised', { ...VP_ADDCX, rcx: 1 }, 'TDX_OPERAND_INVALID|RCX'),
  row('TDH.VP.INIT', 'initialised', VCPU_ONLY, 'TDX_OPERAND_BUSY|TDR', lockTdr),
  row('TDH.VP.INIT', 'initialised', VCPU_ONLY, 'TDX_TDCX_NUM_INCORRECT', (bed) =>
    setVcpu(bed, VP.NUM_PAGES, 5),
  ),
  row('TDH.VP.INIT', 'initialised', VCPU_ONLY, 'TDX_VCPU_STATE_INCORRECT', (bed) =>
    setVcpu(bed, VP.STATE, VCPU_READY),
  ),
  row('TDH.VP.FLUSH', 'runnable', VCPU_ONLY, 'TDX_OPERAND_BUSY|TDR', lockTdr),
  row(
    'TDH.VP.FLUSH',
    'runnable',
    VCPU_ONLY,
    'TDX_TD_KEYS_NOT_CONFIGURED',
    setTd(TD.LIFECYCLE, HKID_ASSIGNED),
  ),
  row('TDH.VP.FLUSH', 'runnable', VCPU_ONLY, 'TDX_TDCX_NUM_INCORRECT', setTd(TD.NUM_L2_VMS, 1)),
  row('TDH.VP.FLUSH', 'runnable', { ...VCPU_ONLY, lp: 7 }, 'TDX_VCPU_NOT_ASSOCIATED'),
  row('TDH.VP.ENTER', 'runnable', VCPU_ONLY, 'TDX_OPERAND_BUSY|TDR', lockTdr),
  row('TDH.VP.ENTER', 'runnable', VCPU_ONLY, 'TDX_TDCX_NUM_INCORRECT', (bed) =>
    setVcpu(bed, VP.NUM_PAGES, 5),
  ),
  row('TDH.VP.ENTER', 'runnable', { rcx: hpa(vCPU) + 2 ** 52 }, 'TDX_OPERAND_INVALID|RCX'),
  row('TDH.VP.ENTER', 'runnable', { rcx: 2 ** 54 }, 'TDX_OPERAND_INVALID|RCX'),
  row('TDH.VP.ENTER', 'initialised', VCPU_ONLY, 'TDX_OP_STATE_INCORRECT'),

  row('TDH.MNG.RD', 'keyed', { ...TD_ONLY, field: 1n }, 'TDX_OP_STATE_INCORRECT'),
  row('TDH.MNG.RD', 'initialised', { ...TD_ONLY, field: 1n }, 'TDX_METADATA_FIELD_ID_INCORRECT'),
  row('TDH.MNG.RD', 'initialised', { ...TD_ONLY, version: 2 }, 'TDX_OPERAND_INVALID'),

  row('TDH.PHYMEM.PAGE.RECLAIM', 'runnable', VCPU_ONLY, 'TDX_OPERAND_BUSY|TDR', lockTdr),
  row('TDH.PHYMEM.PAGE.RECLAIM', 'runnable', VCPU_ONLY, 'TDX_LIFECYCLE_STATE_INCORRECT'),
  row(
    'TDH.PHYMEM.PAGE.RECLAIM',
    'runnable',
    { rcx: hpa(FREE_PAGE) },
    'TDX_PAGE_METADATA_INCORRECT|RCX',
  ),
  row(
    'TDH.PHYMEM.PAGE.RECLAIM',
    'runnable',
    { rcx: hpa(FREE_PAGE + 1) },
    'TDX_OPERAND_INVALID|RCX',
    (bed) => bed.tdx.m.poke(bed.tdx.pamt.meta(FREE_PAGE, 1), Pamt.pack(REG, TDR)),
  ),
  row(
    'TDH.PHYMEM.PAGE.RECLAIM',
    'runnable',
    TD_ONLY,
    'TDX_TD_ASSOCIATED_PAGES_EXIST',
    setTd(TD.LIFECYCLE, TEARDOWN),
  ),
];

describe.for(ROWS)('$name, stage $stage', ({ name, stage, operands, answer, spoil }) => {
  test(`${name} at stage "${stage}" returns ${answer}`, () => {
    const bed = testbed(stage);
    spoil?.(bed);
    expect(bed.status(name, operands)).toBe(answer);
  });
});

test('a refused MNG.CREATE leaves the HKID free', () => {
  const bed = testbed('nothing');
  bed.call('TDH.MNG.CREATE', { ...CREATE, inject: 'rdseedFails' });
  expect(bed.tdx.m.peek(bed.tdx.keys.state(HKID))).toBe(HKID_FREE);
});

test('MNG.INIT returns the CPUID leaf that is wrong, and can be repeated', () => {
  const bed = testbed('keyed');
  const wrong = bed.call('TDH.MNG.INIT', { ...INIT, tdParams: WRONG_CPUID });
  expect([wrong.wide?.rcx, bed.td(TD.OP_STATE)]).toEqual([0xffff_ffff_0000_0001n, UNINITIALIZED]);
  expect(bed.status('TDH.MNG.INIT', INIT)).toBe('TDX_SUCCESS');
});

test('PAGE.RDMD returns BEPOCH for private memory and S-EPT pages only', () => {
  const bed = testbed('runnable');
  const { m, pamt } = bed.tdx;
  m.poke(pamt.bepoch(FREE_PAGE, 0), 9);
  const bepochAs = (type: number): number => {
    m.poke(pamt.meta(FREE_PAGE, 0), Pamt.pack(type, TDR));
    return bed.call('TDH.PHYMEM.PAGE.RDMD', { rcx: hpa(FREE_PAGE) }).r9;
  };
  expect([REG, EPT, 0].map(bepochAs)).toEqual([9, 9, 0]);
});

test('MNG.RD version 1 goes from field to field, and returns wide fields whole', () => {
  const bed = testbed('initialised');
  const read = (field: bigint, version: number) =>
    bed.call('TDH.MNG.RD', { ...TD_ONLY, field, version });
  const first = read(0xffff_ffff_ffff_ffffn, 1);
  expect([
    bed.status('TDH.MNG.RD', { ...TD_ONLY, field: 0xffff_ffff_ffff_ffffn, version: 1 }),
    first.wide?.rdx,
  ]).toEqual(['TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT', 0x8010_0000_0000_0001n]);
  const XFAM = 0x1110_0003_0000_0001n;
  expect([read(XFAM, 0).wide, read(XFAM, 1).wide]).toEqual([
    { rdx: XFAM, r8: 3n },
    { rdx: 0x1110_0002_0000_0002n, r8: 3n },
  ]);
  expect(read(0x8010_0002_0000_0002n, 0).wide?.r8).toBe(6n);
});
