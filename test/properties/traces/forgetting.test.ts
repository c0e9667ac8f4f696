/** Incomplete traces of correct kernels: judgeTrace reports nothing, however little they show. */
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import type { TraceViolation } from '../../../properties/traces/verdict.ts';
import { ownLines, without } from './captures.ts';

const NAMES = [
  'linux-7.3.4-memslot-delete',
  'linux-7.3.4-dirty-log',
  'linux-7.3.4-nx-huge',
  'linux-6.12.117-mixed',
  'linux-6.1.192-memslot-delete',
];

test.each(NAMES)('judgeTrace reports nothing for %s from or up to any line', (name) => {
  const lines = ownLines(name);
  for (let part = 1; part < 8; part++) {
    const at = Math.floor((lines.length * part) / 8);
    expect(judgeTrace(lines.slice(at)).violations.slice(0, 2)).toEqual([]);
    expect(judgeTrace(lines.slice(0, at)).violations.slice(0, 2)).toEqual([]);
  }
});

test.each(NAMES)('judgeTrace reports nothing for %s with a mark where events were lost', (name) => {
  const lines = ownLines(name);
  const at = Math.floor(lines.length / 2);
  const verdict = judgeTrace([
    ...lines.slice(0, at),
    'CPU:1 [LOST 500 EVENTS]',
    ...lines.slice(at + 500),
  ]);

  expect(verdict.violations.slice(0, 2)).toEqual([]);
  expect(verdict.lost).toBe(1);
});

test.each([...NAMES, 'linux-7.3.4-log-read'])(
  'judgeTrace reports nothing for %s without any one of its probes',
  (name) => {
    const lines = ownLines(name);
    const probes = new Set(lines.flatMap((line) => /.*\d: (\w+):/.exec(line)?.[1] ?? []));
    for (const probe of probes) {
      expect([probe, ...judgeTrace(without(lines, [probe])).violations.slice(0, 2)]).toEqual([
        probe,
      ]);
    }
  },
);

test.each([
  // events of roots that become invalid, and of vCPUs that drop them
  ['linux-7.3.4-nx-huge', 'put_root', 'inval_roots'],
  ['linux-7.3.4-nx-huge', 'loadmmu', 'freeobs'],
  ['linux-7.3.4-nx-huge', 'free_rcu', 'init_sp'],
  ['linux-6.12.117-mixed', 'put_root', 'inval_roots'],
  ['linux-7.3.4-memslot-delete', 'wl', 'wl_ret'],
  ['linux-7.3.4-memslot-delete', 'wl_ret', 'wu'],
])('judgeTrace reports nothing for %s without %s and %s', (name, ...probes) => {
  expect(judgeTrace(without(ownLines(name), probes)).violations.slice(0, 2)).toEqual([]);
});

test('judgeTrace names the missing events of a rule that it does not judge', () => {
  const lines = ownLines('linux-7.3.4-dirty-log').filter((line) => !line.includes(' inv_end: '));
  expect(judgeTrace(lines).rules['K38']).toEqual({
    exercised: 0,
    violated: 0,
    notJudged: { 'no event inv_end in the trace': 1 },
  });
});

test('judgeTrace counts events of unknown kinds and lines that are not events', () => {
  const verdict = judgeTrace([
    '    kw-1     [000] .....    1: sched_waking: comm=a',
    'what is this',
  ]);
  expect(verdict).toMatchObject({
    events: 1,
    unreadable: 1,
    unknown: { sched_waking: 1 },
    kernel: null,
    violated: 0,
  });
});

/** A trace in which K20 is violated at line 518. */
const BUGGY = ownLines('linux-7.3.4-bug-notifier-without-flush');

test.each([
  ['another CPU, which may have been silent before', '7', 0],
  ['the CPU whose event shows it', /\[0*(\d+)\]/.exec(BUGGY[517] ?? '')?.[1] ?? '', 1],
])('judgeTrace withdraws violations before events of %s were lost', (_, cpu, violated) => {
  const verdict = judgeTrace([...BUGGY.slice(0, 518), `CPU:${cpu} [LOST 500 EVENTS]`]);

  expect(verdict).toMatchObject({ violated, lost: 1, reading: { lostEvents: 500 } });
  expect(verdict.groups).toHaveLength(violated);
  expect(verdict.rules['K20']?.notJudged).toEqual(
    violated === 1 ? {} : { 'events were lost at the same time': 1 },
  );
});

test('judgeTrace judges nothing until the buffer of the last CPU starts', () => {
  const started = '##### CPU 1 buffer started ####';
  const verdict = judgeTrace([...BUGGY.slice(0, 518), started, ...BUGGY.slice(518)]);
  expect(verdict).toMatchObject({ violated: 0, lost: 0, reading: { buffersStarted: 1 } });

  const head = '# entries-in-buffer/entries-written: 1616510/2580885   #P:2';
  expect(judgeTrace([head, ...BUGGY])).toMatchObject({
    violated: 1,
    reading: { overwritten: 964_375 },
  });
});

/** Lines by CPU, one CPU after the other, as `cat per_cpu/cpu*\/trace` gives them. */
const byCpu = (lines: readonly string[]): string[] =>
  ['[000]', '[001]'].flatMap((cpu) => lines.filter((line) => line.includes(cpu)));

test.each(NAMES)('judgeTrace judges nothing of %s where a CPU follows another', (name) => {
  const { events, reading, rules, violated } = judgeTrace(byCpu(ownLines(name)));

  expect(events).toBeGreaterThan(0);
  expect({ violated, byCpu: reading.byCpu }).toEqual({ violated: 0, byCpu: true });
  expect(Object.values(rules).filter(({ exercised }) => exercised > 0)).toEqual([]);
  expect(Object.keys(rules['K1']?.notJudged ?? {})).toEqual([
    'the events of one CPU follow those of another',
  ]);
});

test.each(NAMES)('judgeTrace reports nothing for %s where time runs backwards', (name) => {
  const lines = ownLines(name);
  const at = Math.floor(lines.length / 2);
  const verdict = judgeTrace([...lines.slice(at), ...lines.slice(0, at)]);

  expect(verdict.violations.slice(0, 2)).toEqual([]);
  expect(verdict.reading.backwards.times).toBeGreaterThan(0);
});

test('judgeTrace forgets a capture where the next one begins', () => {
  const lines = ownLines('linux-7.3.4-teardown');
  const verdict = judgeTrace([...lines, '# tracer: nop', ...lines]);

  expect(verdict).toMatchObject({ violated: 0, reading: { capturesJoined: 1 } });
});

test('judgeTrace judges nothing by the rules of another version than that of the probes', () => {
  const verdict = judgeTrace(BUGGY, { kernel: '6.1' });

  expect(verdict).toMatchObject({ kernel: '6.1', violated: 0, reading: { probesOf: '7.3' } });
  expect(verdict.rules['K20']).toMatchObject({ exercised: 0, violated: 0 });
  expect(Object.keys(verdict.rules['K20']?.notJudged ?? {})).toEqual([
    'the probes are those of Linux 7.3',
  ]);
  expect(judgeTrace(BUGGY, { kernel: '7.3' }).reading.probesOf).toBeNull();
});

test('judgeTrace counts values that are no numbers, by event and key', () => {
  const verdict = judgeTrace([
    '    kw-1  [000] ..... 1: free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=(fault)',
    '    kw-1  [000] ..... 2: free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=(fault)',
    '    kw-1  [000] ..... 3: fast_page_fault: vcpu 0 sptep ____ptrval____ old 0x1 new 2 fixed 0',
  ]);
  expect(verdict.reading.notNumbers).toEqual({ 'free_rcu spt': 2, 'fast_page_fault sptep': 1 });
  expect(verdict.violated).toBe(0);
});

test('judgeTrace counts events without the flags that show interrupts', () => {
  const line =
    'qemu-system-x86     143 [000]    21.420173184:    lk:rl: (ffffffff99bca484) lock=0x1';
  expect(judgeTrace([line]).reading).toMatchObject({ withoutFlags: 1, cpus: 1 });
  expect(judgeTrace(BUGGY).reading).toMatchObject({ withoutFlags: 0, cpus: 2 });
});

test('judgeTrace groups violations that differ in numbers, and reports each at once', () => {
  const live: number[] = [];
  const report = ({ line }: TraceViolation): number => live.push(line);
  const twice = [...BUGGY, '# tracer: nop', ...BUGGY];
  const { groups, violations } = judgeTrace(twice, { onViolation: report });

  expect(groups).toEqual([
    { rule: 'K20', count: 2, lastLine: BUGGY.length + 1 + 518, first: violations[0] },
  ]);
  expect(live).toEqual(violations.map(({ line }) => line));
});
