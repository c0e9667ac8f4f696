/** docs/findings.md, F8 and F9: what upstream's direct roots do not keep out. */
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

test('F8: a notifier over two slots yields without the flush of the first, and another gives the page back', () => {
  expect(
    broken(
      upstream7,
      'vm | v0: touch 2; read 2 | h0: unmap 2+3 | h1: unmap 2 | @v0.1.0>1 @h0.0.45>1',
    ),
  ).toBe('K22');
});

test('F8: by itself such a notifier flushes before it ends', () => {
  for (let step = 0; step < 80; step++) {
    expect(
      broken(upstream7, `vm | v0: touch 2; read 2 | h0: unmap 2+3 | @v0.1.0>1 @h0.0.${step}?1`),
    ).toBeUndefined();
  }
});

/** As Linux has it: whatever is there becomes MMIO. */
const mmioOverLeaf: Partial<TdpMmu> & ThisType<TdpMmu> = {
  *mapTargetLevel(kvm, fault, walk) {
    if (fault.slot >= 0 || !isLeafSpte(walk.spte))
      return yield* tdpMmu.mapTargetLevel.call(this, kvm, fault, walk);
    const value = mmioSpte(kvm.m.peek(kvm.slots.generation));
    return (yield* this.setSpteAtomic(kvm, walk, value)) ? RET_EMULATE : RET_RETRY;
  },
};

test('F9: a fault without a memslot puts MMIO over the page of a slot that has come since, unflushed', () => {
  // the slot is gone when v1 looks it up (step 10 to 30 of h0), and back when v1 takes mmu_lock (its step 20 to 30)
  const texts = Array.from(
    { length: 200 },
    (_, i) =>
      `vm | h0: read-only 0 | v0: read 0 | v1: touch 0 | @h0.0.${10 + Math.floor(i / 10)}>2 @v1.0.${20 + (i % 10)}>1`,
  );
  const asLinux = new Engine({
    policy: { ...upstream7, name: 'mmio-over-leaf', direct: { ...tdpMmu, ...mmioOverLeaf } },
    kind: 'vm',
    module: '1.5',
  });
  const ours = new Engine({ policy: upstream7, kind: 'vm', module: '1.5' });

  expect(texts.map((text) => asLinux.run(parseScenario(text))?.rule)).toContain('K20');
  expect(texts.filter((text) => ours.run(parseScenario(text)) !== null)).toEqual([]);
});
