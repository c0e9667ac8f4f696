/** VP.INIT takes the TDR exclusively from module 1.5.05 on: INIT_VCPU against a punched hole. */
import { describe, expect, test } from 'vitest';
import { initVcpuUnlocked, upstream619 } from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';

/** Either ioctl or hole first, preempted at each of its steps. */
const TEXTS = ['h0: init-vcpu 1 | h1: unmap 0', 'h0: unmap 0 | h1: init-vcpu 1'].flatMap(
  (program) => Array.from({ length: 150 }, (_, step) => `new-td | ${program} | @h0.0.${step}>1`),
);

function answers(policy: Policy, module: ModuleVersion): Set<string> {
  const engine = new Engine({ policy, kind: 'new-td', module });
  const seen = TEXTS.map((text) => engine.run(parseScenario(text))).filter((v) => v !== null);
  return new Set(seen.map(({ rule, seen: answer }) => `${rule}: ${answer}`));
}

describe('a hole that is punched while INIT_VCPU runs without mmu_lock', () => {
  test('a punched hole meets VP.INIT of module 1.5.05, and one of the two calls is refused', () => {
    expect(answers(initVcpuUnlocked, '1.5.05')).toEqual(
      new Set(['S01: TDX_OPERAND_BUSY|RDX', 'S01: TDX_OPERAND_BUSY|TDR']),
    );
  });

  test('a punched hole does not meet VP.INIT of module 1.5.01', () => {
    expect(answers(initVcpuUnlocked, '1.5.01')).toEqual(new Set());
  });
});

test('upstream-6.19 holds mmu_lock around VP.INIT, and no call is refused', () => {
  expect(answers(upstream619, '1.5.05')).toEqual(new Set());
});

test.each([
  ['1.5.05', [1, 1]],
  ['1.5.01', [0, 1]],
] as const)('policies call VP.INIT of module %s in its newest version', (module, [version, id]) => {
  const engine = new Engine({ policy: upstream619, kind: 'new-td', module });
  const calls: number[][] = [];
  engine.vm.tdx.listeners.push({
    ended: ({ name, in: operands }) => {
      if (name === 'TDH.VP.INIT') calls.push([operands.version, operands.r8]);
    },
  });

  engine.run(parseScenario('new-td | h0: init-vcpu 1'));

  expect(calls).toEqual([[version, id]]);
});
