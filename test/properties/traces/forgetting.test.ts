/** Incomplete traces of correct kernels: judgeTrace reports nothing, however little they show. */
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
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
