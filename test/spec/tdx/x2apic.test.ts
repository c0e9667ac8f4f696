/** Version 1 of VP.INIT, and what else MNG.INIT of module 1.5.05 accepts and refuses. */
import { describe, expect, test } from 'vitest';
import type { TdParams } from '../../../spec/tdx/call.ts';
import { TD } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { hpa, TD_PARAMS, TDR, Testbed, VCPUS } from './testbed.ts';

/** A TD with two vCPUs that are not initialised. */
function uninitialised(version: ModuleVersion = '1.5.05'): Testbed {
  const bed = new Testbed(1, 1, version);
  bed.create();
  bed.ok('TDH.MNG.INIT', { rcx: hpa(TDR), tdParams: TD_PARAMS });
  for (const tdvpr of VCPUS) bed.createVcpu(tdvpr);
  return bed;
}

const init = (bed: Testbed, vcpu: number, r8: number, version = 1): string =>
  bed.status('TDH.VP.INIT', { rcx: hpa(VCPUS[vcpu] ?? TDR), lp: vcpu, r8, version });

describe('VP.INIT version 1', () => {
  test('an x2APIC id that is in use is refused, and the index is used up', () => {
    const bed = uninitialised();
    expect(init(bed, 0, 7)).toBe('TDX_SUCCESS');

    const call = bed.call('TDH.VP.INIT', { rcx: hpa(VCPUS[1]), lp: 1, r8: 7, version: 1 });

    expect(call.wideOperand).toBe(7);
    expect(bed.td(TD.NUM_VCPUS)).toBe(2);
    expect(init(bed, 1, 8)).toBe('TDX_MAX_VCPUS_EXCEEDED');
  });

  test('id 0 is in use once an index has no id', () => {
    const bed = uninitialised();
    expect(init(bed, 0, 0, 0)).toBe('TDX_SUCCESS');
    expect(init(bed, 1, 0)).toBe('TDX_X2APIC_ID_NOT_UNIQUE');
  });

  test('an id of more than 32 bits is refused, and the index is given back', () => {
    const bed = uninitialised();
    expect(init(bed, 0, 2 ** 32)).toBe('TDX_OPERAND_INVALID|R8');
    expect(bed.td(TD.NUM_VCPUS)).toBe(0);
    expect(init(bed, 0, 2 ** 32 - 1)).toBe('TDX_SUCCESS');
  });

  test('it is refused while a vCPU is in the guest, and version 0 is not', () => {
    const bed = new Testbed(1, 1, '1.5.05');
    bed.build();
    expect(bed.enter(0)).toBe('TDX_SUCCESS');
    expect(init(bed, 1, 9)).toBe('TDX_OPERAND_BUSY|TDR');
    expect(init(bed, 1, 9, 0)).toBe('TDX_OP_STATE_INCORRECT');
  });

  test.each([
    ['1.5.05', 2],
    ['1.5.01', 1],
  ] as const)('module %s refuses version %i', (module, version) => {
    expect(init(uninitialised(module), 0, 1, version)).toBe('TDX_OPERAND_INVALID');
  });
});

describe('MNG.INIT', () => {
  const LASS = 1n << 27n;
  test.each<[string, Partial<TdParams>, string, string]>([
    ['MAX_VCPUS 576', { maxVcpus: 576 }, 'TDX_SUCCESS', 'TDX_SUCCESS'],
    ['MAX_VCPUS 577', { maxVcpus: 577 }, 'TDX_SUCCESS', 'TDX_OPERAND_INVALID|MAX_VCPUS'],
    ['LASS', { attributes: LASS }, 'TDX_OPERAND_INVALID|ATTRIBUTES', 'TDX_SUCCESS'],
  ])('%s is judged by the version', (_, params, older, newer) => {
    const answers = (['1.5.01', '1.5.05'] as const).map((version) => {
      const bed = new Testbed(1, 1, version);
      bed.create();
      return bed.status('TDH.MNG.INIT', { rcx: hpa(TDR), tdParams: { ...TD_PARAMS, ...params } });
    });
    expect(answers).toEqual([older, newer]);
  });
});
