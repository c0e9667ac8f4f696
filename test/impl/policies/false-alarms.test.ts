/** Scenarios for which a rule once reported a violation wrongly; long campaigns found them. */
import { describe, expect, test } from 'vitest';
import { exclusive, upstream616, upstream7 } from '../../../impl/index.ts';
import { tdpMmu } from '../../../impl/tdp-mmu/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { timelineOf } from '../../../properties/checker/reports/timeline.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { NO_PAGE } from '../../../spec/machine/pages.ts';

/** The first model of upstream-7: one flush for all roots, after their read sections. */
const FLUSHES_LATE: Policy = {
  ...upstream7,
  name: 'flushes-late',
  direct: {
    ...tdpMmu,
    *recoverHugePages(kvm, slot) {
      let flush = false;
      for (let root = yield* this.nextRoot(kvm, NO_PAGE, true, true); root !== NO_PAGE;) {
        yield* kvm.rcu.readLock();
        flush = (yield* this.recoverRoot(kvm, slot, root)) || flush;
        yield* kvm.rcu.readUnlock();
        root = yield* this.nextRoot(kvm, root, true, true);
      }
      if (flush) yield* kvm.flushAll();
    },
  },
};

describe.each([exclusive, upstream616])('$name', (policy) => {
  test.each([
    [
      'S08: a guest waits for a host call with priority whose memslot is deleted before the retry',
      'v0: accept 0; accept-huge 2 | v1: read 2 | h0: remove-slot 0 | @v0.1.4>1',
    ],
    [
      'S09: PROMOTE meets BUSY, and is not possible any more when it is repeated',
      'v0: accept-huge 1; idle 0 | h0: promote 0 | v1: accept-huge 0 | @v1.0.14>1',
    ],
  ])('%s', (_what, text) => {
    expect(new Engine({ policy, module: '1.5' }).run(parseScenario(text))).toBeNull();
  });
});

test.each([
  [
    'K19: lockless aging writes W as it read it, while another actor is about to clear it',
    'vm | h0: age 0 | v0: shadow-touch 0; exec 0 | h1: track 0 | @h1.0.2>1 @h0.0.1>1',
  ],
  [
    'K5: no walk uses cached entries of an invalid root that the vCPU has unloaded',
    'vm | v0: touch 3; smm-touch 0; shadow-touch 0; nested-touch 0 | h0: merge-folio 0 | ' +
      'v1: touch 0 | h1: zap-all 0 | @v0.3.26>1 @h0.0.0>2 @v0.3.0?1 @h1.0.2>1',
  ],
])('%s', (_what, text) => {
  expect(new Engine({ policy: upstream7, module: '1.5' }).run(parseScenario(text))).toBeNull();
});

test('upstream-7 flushes cached entries of a table before it is freed, as Linux 6.13 does', () => {
  const text = 'vm | v0: touch 0; read 0 | h0: log 0; unlog 0 | @v0.1.0>1 @h0.1.0>1';

  expect(new Engine({ policy: upstream7, module: '1.5' }).run(parseScenario(text))).toBeNull();
  expect(new Engine({ policy: FLUSHES_LATE, module: '1.5' }).run(parseScenario(text))?.rule).toBe(
    'K5',
  );
});

test('a guest that the module has refused 500 times for a host call leaves the TD', () => {
  const scenario = parseScenario(
    'v0: accept 0; accept-huge 2; touch 0 | v1: read 2 | h0: remove-slot 0 | @v0.1.4>1',
  );
  const calls = timelineOf({ policy: exclusive, module: '1.5' }, scenario)
    .rows.filter(({ actor }) => actor === 0)
    .map(({ text }) => text);
  const refused = 'PAGE.ACCEPT 2@2M -> OPERAND_BUSY_HOST_PRIORITY|RCX';

  expect(calls.filter((text) => text === refused)).toHaveLength(500);
  expect(calls.slice(calls.lastIndexOf(refused) + 1)).toContain('VP.ENTER -> SUCCESS');
});
