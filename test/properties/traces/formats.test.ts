/** Captures as other recorders print them: judgeTrace gives the verdict of the tracefs text. */
import { expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import type { TraceVerdict } from '../../../properties/traces/verdict.ts';
import { pathOf } from '../../support/repository.ts';
import { asPerf, asRaw, asTraceCmd } from './as-recorded.ts';
import { nameOf, ownLines, testEach } from './captures.ts';

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

/** Pieces of captures by other recorders than tracefs, and what reading them has to show. */
const PIECES = [
  ['qemu-7.3.4-trace-cmd-report', { lines: 602, events: 601 }, { cpus: 1 }],
  ['qemu-7.3.4-perf-script', { lines: 601, events: 601 }, { withoutFlags: 601 }],
  ['qemu-7.3.4-trace-pipe-lost', { lines: 601, events: 598, lost: 3 }, { lostEvents: 1032 }],
  [
    'qemu-7.3.4-overwritten',
    { lines: 513, events: 500 },
    { buffersStarted: 1, overwritten: 964_375 },
  ],
] as const;

/** What is said of a trace that lacks nothing. */
const COMPLETE = {
  cpus: 2,
  lostEvents: 0,
  withoutFlags: 0,
  buffersStarted: 0,
  overwritten: 0,
  notNumbers: {},
  cut: false,
  damaged: null,
  backwards: { times: 0 },
};

test.each(PIECES)('judgeTraceFile reads every line of %s', async (name, counts, reading) => {
  const verdict = await judgeTraceFile(pathOf(`recordings/traces/${name}.trace.gz`), {});

  expect(verdict).toMatchObject({
    kernel: '7.3',
    unreadable: 0,
    unknown: {},
    lost: 0,
    ...counts,
    reading: {
      ...COMPLETE,
      ...reading,
    },
  });
});

/** Whole captures of real guests: lines that are no events, and what else is said. */
const WHOLE = {
  's9-7.3.4-trace-cmd-report': { events: 224_639, lines: 224_640 },
  's10-7.3.4-perf-script': { events: 123_464, lines: 123_464, reading: { withoutFlags: 123_464 } },
  's11-7.3.4-trace_pipe-lost': { events: 123_571, lost: 9, reading: { lostEvents: 13_636 } },
  's7b-7.3.4-ksm-overwritten-buffer': {
    events: 146_137,
    reading: { buffersStarted: 1, overwritten: 964_375 },
  },
} as const;

testEach('kvm-qemu', 'judgeTraceFile reads every line', async (path) => {
  const { rules, ...verdict } = await judgeTraceFile(path, {});

  expect(verdict).toMatchObject({ unreadable: 0, reading: { notNumbers: {}, cut: false } });
  expect(verdict).toMatchObject(new Map(Object.entries(WHOLE)).get(nameOf(path)) ?? {});
  // these follow from the callers of functions, which trace-cmd prints as addresses
  if (nameOf(path).startsWith('s9-'))
    expect(['K22', 'K34'].filter((id) => (rules[id]?.exercised ?? 0) > 0)).toEqual(['K22', 'K34']);
});
