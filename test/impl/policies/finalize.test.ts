/** Linux 6.19 does not exclude hole punching while a TD is finalized (docs/findings.md, F7). */
import { expect, test } from 'vitest';
import { finalizeUnlocked, upstream619 } from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';

const seen = (policy: Policy, text: string): string | undefined =>
  new Engine({ policy, kind: 'new-td', module: '1.5' }).run(parseScenario(text))?.seen;

test('a hole punched during FINALIZE makes a zap fail, unless FINALIZE holds mmu_lock', () => {
  const texts = Array.from(
    { length: 60 },
    (_, step) => `new-td | h0: finalize 0 | h1: unmap 0 | @h0.0.${step}>1`,
  );
  const answers = new Set(texts.map((text) => seen(finalizeUnlocked, text)));

  expect(answers).toEqual(
    new Set([undefined, 'TDX_OPERAND_BUSY|RDX', 'TDX_TLB_TRACKING_NOT_DONE|RCX']),
  );
  expect(
    texts.map((text) => seen(upstream619, text)).filter((answer) => answer !== undefined),
  ).toEqual([]);
});
