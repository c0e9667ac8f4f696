/** Registers that a function returns as they came in, although no number holds them exactly. */
import { expect, test } from 'vitest';
import {
  outputOf,
  Tokens,
  toRegister,
} from '../../../../properties/module/recordings/format/registers.ts';
import { TdRig } from '../../../support/td-rig.ts';

/** Misaligned, and with bits from 52 up. */
const R8 = '0x8010000100000801';

test.each([
  [0, '0x8010000100000801'],
  [1, '0x10000100000801'],
  [2, '0x8010000100000801'],
])('SEPT.ADD version %i returns a misaligned R8 as %s', (version, expected) => {
  const rig = new TdRig({ module: '1.5' });
  const call = rig.call('TDH.MEM.SEPT.ADD', { ...rig.mapping(0, 1), r8: toRegister(R8), version });

  const output = outputOf(rig.tdx, new Tokens(), call, 'r8', { r8: R8 }, 0);

  expect(`0x${output?.toString(16)}`).toBe(expected);
});
