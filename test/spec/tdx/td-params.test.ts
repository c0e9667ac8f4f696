/** TD_PARAMS of MNG.INIT, and the fields that MNG.RD reads. */
import { describe, expect, test } from 'vitest';
import { OTHER_FIELDS, type TdParams } from '../../../spec/tdx/call.ts';
import { describeStatus, INCONSISTENT_MSR, on, OPERANDS } from '../../../spec/tdx/status.ts';
import { checkTdParams, fieldsOf } from '../../../spec/tdx/td-params.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { versionData } from '../../../spec/tdx/versions/index.ts';
import { hpa, Testbed, TD_PARAMS, TDR } from './testbed.ts';

const V1_5_01 = versionData('1.5.01');

const answer = (changed: Partial<TdParams>, numTdcx = 6, tscAdjustChanged = false): string =>
  describeStatus(
    checkTdParams({ ...TD_PARAMS, ...changed }, { version: V1_5_01, numTdcx, tscAdjustChanged }),
  );

const reserved = (n: number): Partial<TdParams> => ({ reservedNonZero: n });

const DEBUG = 1n;
const MIGRATABLE = 1n << 29n;
const PERFMON = 1n << 63n;

describe('TD_PARAMS', () => {
  test.each<[string, Partial<TdParams>]>([
    ['ATTRIBUTES', { attributes: 1n << 40n }],
    ['ATTRIBUTES', { attributes: MIGRATABLE | DEBUG }],
    ['ATTRIBUTES', { attributes: MIGRATABLE | PERFMON }],
    ['XFAM', { xfam: 1n }],
    ['XFAM', { xfam: 0x803n }],
    ['XFAM', { xfam: 0x1_0000_0000_03n }],
    ['MAX_VCPUS', { maxVcpus: 0 }],
    ['NUM_L2_VMS', { numL2Vms: 4 }],
    ['EXEC_CONTROLS', { configFlags: 0x20n }],
    ['EPTP_CONTROLS', { eptpControls: 0x16n }],
    ['EPTP_CONTROLS', { configFlags: 1n }],
    ['TSC_FREQUENCY', { tscFrequency: 3 }],
    ['TSC_FREQUENCY', { tscFrequency: 401 }],
    ['RDX', { msrConfigCtls: 2 }],
    ['CPUID_CONFIG', { cpuidConfig: 1 }],
    ['CPUID_CONFIG', { cpuidConfig: 2 }],
    ['IA32_ARCH_CAPABILITIES_CONFIG', { archCapConfig: 1n }],
  ])('MNG.INIT refuses TD_PARAMS with a bad %s: %o', (operand, changed) => {
    expect(answer(changed)).toBe(`TDX_OPERAND_INVALID|${operand}`);
  });

  test.each<[string, Partial<TdParams>]>([
    ['a debug TD', { attributes: DEBUG | PERFMON }],
    ['CET for user and supervisor', { xfam: 0x1803n }],
    ['a wide GPA in a 5-level tree', { configFlags: 1n, eptpControls: 0x26n }],
    [
      'another family, model and stepping for a migratable TD',
      { attributes: MIGRATABLE, cpuidConfig: 2 },
    ],
  ])('MNG.INIT accepts %s', (_, changed) => {
    expect(answer(changed)).toBe('TDX_SUCCESS');
  });

  test.each<[string, readonly number[], boolean]>([
    ['of the platform, where all is zero', [], true],
    ['of SMT and core', [1, 2], true],
    ['up to the die', [1, 2, 3, 4, 5], true],
    ['of a core alone', [2], true],
    ['that starts over after its end', [1, 2, 0, 1], true],
    ['without a core', [1, 3], false],
    ['whose levels fall', [2, 1], false],
    ['with a level twice', [1, 2, 2], false],
    ['with an unknown level', [1, 2, 6], false],
    ['that ends before the core', [1, 0, 2], false],
    ['whose first sub-leaf has no level', [OTHER_FIELDS, 1, 2], false],
    ['whose first sub-leaf alone is zero', [0, 2], false],
    ['that is zero but for a field of its last sub-leaf', [0, 0, 0, 0, 0, OTHER_FIELDS], false],
  ])('MNG.INIT of 1.5.05 takes a topology %s: %o, %s', (_, topology, accepted) => {
    const params = { ...TD_PARAMS, topology };
    const answers = (['1.5.05', '1.5.01'] as const).map((name) => {
      const bed = new Testbed(1, 1, name);
      bed.create();
      return bed.status('TDH.MNG.INIT', { rcx: hpa(TDR), tdParams: params });
    });

    expect(answers).toEqual([
      accepted ? 'TDX_SUCCESS' : 'TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED',
      'TDX_SUCCESS',
    ]);
  });

  test('the topology is checked after other CPUID leaves, and before reserved bytes', () => {
    const wrong = { ...TD_PARAMS, topology: [3] };
    const context = { version: versionData('1.5.05'), numTdcx: 6, tscAdjustChanged: false };
    const answers = [{ cpuidConfig: 1 }, { reservedNonZero: 4 }].map((also) =>
      describeStatus(checkTdParams({ ...wrong, ...also }, context)),
    );

    expect(answers).toEqual([
      'TDX_OPERAND_INVALID|CPUID_CONFIG',
      'TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED',
    ]);
  });

  test('TD_PARAMS need one more TDCX page for each L2 VM, and a migratable TD has none', () => {
    expect(answer({ numL2Vms: 2 }, 7)).toBe('TDX_TDCS_NOT_ALLOCATED');
    expect(answer({ numL2Vms: 2 }, 8)).toBe('TDX_SUCCESS');
    expect(answer({ numL2Vms: 2, attributes: MIGRATABLE }, 8)).toBe('TDX_OPERAND_INVALID|RDX');
  });

  test('TD_PARAMS are checked in order, and IA32_TSC_ADJUST between them', () => {
    expect(answer({ ...reserved(1), configFlags: 0x20n })).toBe('TDX_OPERAND_INVALID|RDX');
    expect(answer({ ...reserved(2), tscFrequency: 3 })).toBe('TDX_OPERAND_INVALID|TSC_FREQUENCY');
    const changed = checkTdParams(
      { ...TD_PARAMS, ...reserved(2) },
      { version: V1_5_01, numTdcx: 6, tscAdjustChanged: true },
    );
    expect(changed).toBe(on(INCONSISTENT_MSR, OPERANDS.IA32_TSC_ADJUST));
    expect(answer({ ...reserved(3), cpuidConfig: 1 })).toBe('TDX_OPERAND_INVALID|RDX');
    expect(answer({ ...reserved(4), cpuidConfig: 1 })).toBe('TDX_OPERAND_INVALID|CPUID_CONFIG');
    expect(answer({ ...reserved(4), archCapConfig: 1n })).toBe('TDX_OPERAND_INVALID|RDX');
  });

  test('TD_PARAMS determine the depth of the Secure EPT and the GPA width', () => {
    const fields = new Map(fieldsOf({ ...TD_PARAMS, configFlags: 1n, eptpControls: 0x26n }));
    expect([fields.get(TD.ROOT_LEVEL), fields.get(TD.GPAW)]).toEqual([4, 1]);
  });
});

function initialised(): Testbed {
  const bed = new Testbed();
  bed.create();
  bed.ok('TDH.MNG.INIT', {
    rcx: hpa(TDR),
    rdx: 0,
    tdParams: { ...TD_PARAMS, attributes: DEBUG | PERFMON },
  });
  return bed;
}

describe('TDH.MNG.RD', () => {
  const FATAL = 0x8010_0000_0000_0001n;
  const ATTRIBUTES = 0x1110_0003_0000_0000n;

  test('MNG.RD returns all 64 bits, and in version 1 the id of the next field', () => {
    const bed = initialised();
    const read = (version: number) =>
      bed.call('TDH.MNG.RD', { rcx: hpa(TDR), field: ATTRIBUTES, version }).wide;
    expect(read(0)).toEqual({ r8: PERFMON | DEBUG, rdx: ATTRIBUTES });
    expect(read(1)).toEqual({ r8: PERFMON | DEBUG, rdx: ATTRIBUTES + 1n });
  });

  test('MNG.RD of a null id returns the first field in version 1 only', () => {
    const bed = initialised();
    const nothing = (1n << 64n) - 1n;
    const read = (field: bigint, version: number) => {
      const call = bed.call('TDH.MNG.RD', { rcx: hpa(TDR), field, version });
      return [describeStatus(call.status), call.wide?.rdx];
    };
    expect(read(nothing, 1)).toEqual(['TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT', FATAL]);
    expect(read(nothing, 0)).toEqual(['TDX_METADATA_FIELD_ID_INCORRECT', nothing]);
    expect(read(0x8010_0000_0000_0077n, 1)).toEqual(['TDX_METADATA_FIELD_ID_INCORRECT', nothing]);
    expect(read(FATAL, 2)).toEqual(['TDX_OPERAND_INVALID', nothing]);
  });
});
