/** Pieces of captures that were taken for violations once, as they are and with events left out. */
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import type { TraceVerdict } from '../../../properties/traces/verdict.ts';
import { ownLines, without } from './captures.ts';

const seenIn = ({ violations }: TraceVerdict): string[] =>
  violations.slice(0, 3).map(({ rule, line, seen }) => `${rule}, line ${line}: ${seen}`);

const FIVE_LEVELS = ['qemu-7.3.4-five-levels', 'qemu-6.12.117-five-levels'] as const;

test.each(FIVE_LEVELS.flatMap((name) => ['alloc_root', 'init_sp'].map((event) => [name, event])))(
  'a root of five levels is not taken for one of four, in %s without %s',
  (name, event) => {
    const verdict = judgeTrace(without(ownLines(name), [event]));

    expect(seenIn(verdict)).toEqual([]);
    expect(verdict.rules['K12']?.exercised).toBeGreaterThan(0);
  },
);

test('a root is that of the VM whose lock its task holds, if no event names its VM', () => {
  const lines = without(ownLines('qemu-7.3.4-five-levels'), ['alloc_root']);
  const isOfTop = (line: string): boolean => line.includes(' chg: ') && line.includes(' level=5 ');
  const wrong = lines.map((line) =>
    isOfTop(line) ? line.replace(' level=5 ', ' level=3 ') : line,
  );

  expect(seenIn(judgeTrace(wrong)).join()).toContain('a table of 256T entries has an entry of');
});

test('in 6.1, an invalidation ends although the probe of its end never hits', () => {
  const lines = ownLines('vmm-6.1.192-flushes');
  const { rules, violations } = judgeTrace(lines);

  expect(lines[0]).toContain(' inv_end ');
  expect(violations).toEqual([]);
  expect(rules['K37']?.exercised).toBe(16);
});

test('in 6.1, the mapping of a page is reported if its invalidation has not ended', () => {
  const isEnd = (line: string): boolean => line.includes('kvm_mmu_notifier_invalidate_range_end');
  const { violations } = judgeTrace(ownLines('vmm-6.1.192-flushes').filter((l) => !isEnd(l)));

  expect(violations.map(({ rule }) => rule)).toContain('K37');
});

test('in 6.1, a vCPU may have left the guest although its kvm_exit is still to come', () => {
  const { rules } = judgeTrace(ownLines('vmm-6.1.192-flushes'));

  expect(rules['K20']).toMatchObject({
    violated: 0,
    notJudged: { 'kvm_exit comes after the vCPU has left the guest': 2 },
  });
});

test('entries of a table that is older than the trace are not those of one removed before', () => {
  const verdict = judgeTrace(ownLines('qemu-6.12.117-two-roots'));

  expect(seenIn(verdict)).toEqual([]);
  expect(verdict.rules['K10']?.exercised).toBeGreaterThan(1000);
});
