/** Captures as other recorders print them: judgeTrace gives the verdict of the tracefs text. */
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import type { TraceVerdict } from '../../../properties/traces/verdict.ts';
import { asPerf, asRaw, asTraceCmd } from './as-recorded.ts';
import { ownLines } from './captures.ts';

const NAMES = [
  'linux-7.3.4-memslot-delete',
  'linux-7.3.4-dirty-log',
  'linux-7.3.4-nx-huge',
  'linux-7.3.4-teardown',
  'linux-7.3.4-bug-notifier-without-flush',
  'linux-7.3.4-bug-stale-fault',
  'linux-6.12.117-mixed',
  'linux-6.12.117-bug-wrong-range',
] as const;

/** What does not depend on how the same events are printed. */
const essence = ({ kernel, events, unreadable, rules, violations }: TraceVerdict): unknown => ({
  kernel,
  events,
  unreadable,
  rules,
  violations: violations.map(({ rule, line, task, seen }) => ({ rule, line, task, seen })),
});

test.each(NAMES)('judgeTrace judges %s alike in tracefs and in trace-cmd report', (name) => {
  const lines = ownLines(name);
  const verdict = essence(judgeTrace(lines));

  expect(essence(judgeTrace(asTraceCmd(lines)))).toEqual(verdict);
  expect(essence(judgeTrace(asRaw(lines)))).toEqual(verdict);
});

test.each(NAMES)('judgeTrace judges %s alike in tracefs and in perf script', (name) => {
  const lines = ownLines(name);
  const withoutFlags = lines.map((line) => line.replace(/(?<=\] )\S{5,} +(?=[\d.]+: )/, ''));
  const { reading, ...verdict } = judgeTrace(asPerf(lines));

  expect(reading.withoutFlags).toBe(verdict.events);
  expect(essence({ ...verdict, reading })).toEqual(essence(judgeTrace(withoutFlags)));
});
