/** Completion statuses and their operands. */
import { describe, expect, test } from 'vitest';
import * as S from '../../../spec/tdx/status.ts';

describe('a completion status', () => {
  test.for([
    [S.SUCCESS, 0n, 'TDX_SUCCESS', null],
    [
      S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE),
      0x8000_0200_0000_0092n,
      'TDX_OPERAND_BUSY|SEPT_TREE',
      'SEPT_TREE',
    ],
    [
      S.on(S.EPT_WALK_FAILED, S.OPERANDS.RCX),
      0xc000_0b00_0000_0001n,
      'TDX_EPT_WALK_FAILED|RCX',
      'RCX',
    ],
    [S.TLB_TRACKING_NOT_DONE, 0xc000_0b08_0000_0000n, 'TDX_TLB_TRACKING_NOT_DONE', null],
    [S.on(S.OPERAND_INVALID, S.OPERANDS.RAX), 0xc000_0100_0000_0000n, 'TDX_OPERAND_INVALID', null],
    [
      S.on(S.PAGE_SIZE_MISMATCH, 1),
      0xc000_0b0b_0000_0001n,
      'TDX_PAGE_SIZE_MISMATCH|level 1',
      'LEVEL',
    ],
    [S.PAGE_ALREADY_ACCEPTED, 0x0000_0b0a_0000_0000n, 'TDX_PAGE_ALREADY_ACCEPTED|level 0', null],
    [
      S.on(S.INCONSISTENT_MSR, 0x3b),
      0xc000_0920_0000_003bn,
      'TDX_INCONSISTENT_MSR|IA32_TSC_ADJUST',
      null,
    ],
    [S.on(S.OPERAND_INVALID, 999), 0xc000_0100_0000_03e7n, 'TDX_OPERAND_INVALID|999', null],
    [S.VMEXIT_EPT_VIOLATION, 48n, 'VMEXIT_EPT_VIOLATION', null],
  ] as const)('toRax() of status %s is %s', ([status, rax, text, operand]) => {
    expect(S.toRax(status)).toBe(rax);
    expect(S.describeStatus(status)).toBe(text);
    expect(S.operandName(status)).toBe(operand);
    expect(S.on(S.classOf(status), S.operandOf(status))).toBe(status);
    expect(text.startsWith(S.statusName(status))).toBe(true);
  });

  test('isSuccessClass() holds for statuses with bit 63 clear', () => {
    const blocked = S.on(S.GPA_RANGE_ALREADY_BLOCKED, S.OPERANDS.RCX);
    const success = [S.SUCCESS, blocked, S.PAGE_ALREADY_ACCEPTED, S.KEY_CONFIGURED];
    expect(success.map(S.isSuccessClass)).toEqual([true, true, true, true]);
    expect([S.OPERAND_BUSY, S.EPT_WALK_FAILED, S.MODULE_HALT].map(S.isSuccessClass)).toEqual([
      false,
      false,
      false,
    ]);
  });
});
