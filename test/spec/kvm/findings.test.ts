/** F8 and F9 of docs/findings.md: races of Linux's direct roots. */
import { expect, test } from 'vitest';
import { upstream7 } from '../../../impl/policies/upstream-7.ts';
import { tdpMmu } from '../../../impl/tdp-mmu/index.ts';
import type { TdpMmu } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { RET_EMULATE, RET_RETRY } from '../../../spec/kvm/kvm.ts';
import { isLeafSpte, mmioSpte } from '../../../spec/kvm/spte.ts';

const broken = (policy: Policy, text: string): string | undefined =>
  new Engine({ policy, kind: 'vm', module: '1.5' }).run(parseScenario(text))?.rule;

test('F8: a notifier yields before it flushes one slot, and another releases the page', () => {
  expect(
    broken(
      upstream7,
      'vm | v0: touch 2; read 2 | h0: unmap 2+3 | h1: unmap 2 | @v0.1.0>1 @h0.0.45>1',
    ),
  ).toBe('K22');
});

test('F8: a notifier over two slots that runs alone flushes before it returns', () => {
  for (let step = 0; step < 80; step++) {
    expect(
      broken(upstream7, `vm | v0: touch 2; read 2 | h0: unmap 2+3 | @v0.1.0>1 @h0.0.${step}?1`),
    ).toBeUndefined();
  }
});

/** As in Linux: the fault writes MMIO over any entry. */
const mmioOverLeaf: Partial<TdpMmu> & ThisType<TdpMmu> = {
  *mapTargetLevel(kvm, fault, walk) {
    if (fault.slot >= 0 || !isLeafSpte(walk.spte))
      return yield* tdpMmu.mapTargetLevel.call(this, kvm, fault, walk);
    const value = mmioSpte(kvm.m.peek(kvm.slots.generation));
    return (yield* this.setSpteAtomic(kvm, walk, value)) ? RET_EMULATE : RET_RETRY;
  },
};

test('F9: a fault without a memslot writes MMIO over a newer leaf, without a flush', () => {
  // v1 looks up the slot while it is absent (steps 10 to 30 of h0); when v1 takes mmu_lock (its
  // steps 20 to 30) the slot is back
  const deviations = Array.from(
    { length: 200 },
    (_, i) => `@h0.0.${10 + Math.floor(i / 10)}>2 @v1.0.${20 + (i % 10)}>1`,
  );
  const texts = deviations.map((at) => `vm | h0: read-only 0 | v0: read 0 | v1: touch 0 | ${at}`);
  const asLinux = new Engine({
    policy: { ...upstream7, name: 'mmio-over-leaf', direct: { ...tdpMmu, ...mmioOverLeaf } },
    kind: 'vm',
    module: '1.5',
  });
  const ours = new Engine({ policy: upstream7, kind: 'vm', module: '1.5' });

  expect(texts.map((text) => asLinux.run(parseScenario(text))?.rule)).toContain('K20');
  expect(texts.filter((text) => ours.run(parseScenario(text)) !== null)).toEqual([]);
});
