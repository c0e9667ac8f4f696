/**
 * Recorded histories of our own, altered: what no order explains any more is refused, and the call
 * is named where only one can be meant; what means the same stays explained.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  HistoryJudge,
  type JudgedHistory,
} from '../../../../properties/module/recordings/concurrent/judge.ts';
import { pathOf } from '../../../support/repository.ts';

interface Event {
  op: string;
  vcpu: number | null;
  in: { vcpu?: number };
  t: number;
  inv: number;
  ret: number;
  result: string;
  status: string;
  out?: Record<string, string>;
}
interface Td {
  chldcnt: number;
  opState: string;
  lifecycle: string;
  epoch: { tdEpoch: number; refcount: number[] };
  locks: { septTree: number };
  vcpus: { state: number }[];
  sept: { raw: string; hpa: string }[];
}
interface Recorded {
  id: string;
  events: Event[];
  final: { tds: [Td]; pamt: { type: string; bepoch: number }[] };
}

const path = pathOf('recordings/concurrent.jsonl.gz');
const HISTORIES = gunzipSync(readFileSync(path))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);
const judge = new HistoryJudge();
const judged = (value: unknown): JudgedHistory => judge.line({ where: path, value });

const bits = (hex: string, mask: bigint): string =>
  `0x${(BigInt(hex) ^ mask).toString(16).padStart(16, '0')}`;
const isBusy = ({ status }: Event): boolean => status.startsWith('0x80000200');
const answers = (event: Event): boolean => event.result === 'RETURN' && !isBusy(event);
const isAlone = (event: Event, { events }: Recorded): boolean =>
  events.every((other) => other === event || other.ret < event.inv || event.ret < other.inv);
const isBeforeAnyVcpu = (event: Event, { events }: Recorded): boolean =>
  events.every(({ result, inv }) => result !== 'TD_ENTERED' || event.ret < inv);

/** Calls of a history that an alteration is tried on. */
const EACH = 3;

interface Alteration {
  readonly name: string;
  readonly applies: (event: Event, history: Recorded) => boolean;
  readonly change: (event: Event, history: Recorded) => void;
  /** What the judge says of the altered call; absent where another one may be the one that shows it. */
  readonly says?: RegExp;
}

const ADDING = ['TDH.MEM.PAGE.ADD', 'TDH.MEM.PAGE.AUG', 'TDH.MEM.SEPT.ADD'];

const ALTERATIONS: readonly Alteration[] = [
  {
    name: 'a status that no state has',
    applies: answers,
    says: /may answer .*, not TDX_MAX_VCPUS_EXCEEDED/,
    change: (event) => {
      event.status = '0xc000070500000000';
    },
  },
  {
    name: 'a status that another state would have',
    applies: answers,
    change: (event) => {
      event.status = BigInt(event.status) === 0n ? '0xc0000b0d00000001' : '0x0000000000000000';
    },
  },
  {
    name: 'a status with another operand',
    applies: (event) => answers(event) && BigInt(event.status) !== 0n,
    change: (event) => {
      event.status = bits(event.status, 3n);
    },
    says: /may answer .*, not /,
  },
  {
    name: 'another RCX',
    applies: (event) => answers(event) && event.out?.['rcx'] !== undefined,
    change: ({ out = {} }) => {
      out['rcx'] = bits(out['rcx'] ?? '', 0x1000n);
    },
    says: /rcx may be /,
  },
  {
    name: 'another RDX',
    applies: (event) => answers(event) && event.out?.['rdx'] !== undefined,
    change: ({ out = {} }) => {
      out['rdx'] = bits(out['rdx'] ?? '', 0x800n);
    },
    says: /rdx may be /,
  },
  {
    name: 'an exit for another GPA',
    applies: ({ op, result }) => op.startsWith('TDG.') && result === 'TD_EXIT',
    change: ({ out = {} }) => {
      out['r8'] = bits(out['r8'] ?? '', 0x1000n);
    },
    says: /r8 may be /,
  },
  {
    name: 'a return that ends as an exit',
    applies: answers,
    change: (event) => {
      event.result = 'TD_EXIT';
    },
    says: /may end with RETURN/,
  },
  {
    name: 'a refusal with an operand that the call does not lock',
    applies: isBusy,
    change: (event) => {
      event.status = '0x80000200000000ba';
    },
    says: /tries no lock that it would be refused with operand 186/,
  },
  {
    name: 'a refusal with nobody there',
    applies: (event, history) =>
      answers(event) &&
      event.op.startsWith('TDH.MEM.') &&
      isAlone(event, history) &&
      isBeforeAnyVcpu(event, history),
    change: (event) => {
      event.status = '0x8000020000000092';
    },
    says: /nobody could hold|tries no lock/,
  },
  {
    name: 'a refusal of the host for a priority',
    applies: ({ op, result }) => op.startsWith('TDH.') && result === 'RETURN',
    change: (event) => {
      event.status = '0x8000020400000001';
    },
    says: /is a call of the host/,
  },
  {
    name: 'a success of a call that was refused',
    applies: (event) => isBusy(event) && ADDING.includes(event.op),
    change: (event) => {
      event.status = '0x0000000000000000';
    },
  },
  {
    name: 'no event where a page or table was added',
    applies: ({ op, status }) => ADDING.includes(op) && BigInt(status) === 0n,
    change: (event, { events }) => {
      events.splice(events.indexOf(event), 1);
    },
  },
  {
    name: 'no event where TRACK succeeded',
    applies: ({ op, status }) => op === 'TDH.MEM.TRACK' && BigInt(status) === 0n,
    change: (event, { events }) => {
      events.splice(events.indexOf(event), 1);
    },
  },
  {
    name: 'an exit before its entry',
    applies: (event, history) =>
      event.result === 'TD_ENTERED' && exitOf(event, history) !== undefined,
    change: (event, history) => {
      const exit = exitOf(event, history) as Event; // it applies
      [event.inv, event.ret, exit.inv, exit.ret] = [exit.inv, exit.ret, event.inv, event.ret];
      history.events.sort((a, b) => a.inv - b.inv);
    },
  },
];

/** The exit that ends what an entry begins. */
const exitOf = (entry: Event, { events }: Recorded): Event | undefined =>
  events.find(({ op, vcpu, inv }) => op === 'HW.TD.EXIT' && vcpu === entry.vcpu && inv > entry.ret);

const FINALS: readonly [string, (td: Td, history: Recorded) => void][] = [
  [
    'CHLDCNT',
    (td) => {
      td.chldcnt++;
    },
  ],
  [
    'TD_EPOCH',
    (td) => {
      td.epoch.tdEpoch++;
    },
  ],
  [
    'a REFCOUNT',
    (td) => {
      td.epoch.refcount[1] = (td.epoch.refcount[1] ?? 0) + 1;
    },
  ],
  [
    'OP_STATE',
    (td) => {
      td.opState = td.opState === 'RUNNABLE' ? 'INITIALIZED' : 'RUNNABLE';
    },
  ],
  [
    'the life cycle',
    (td) => {
      td.lifecycle = 'BLOCKED';
    },
  ],
  [
    'the state of a vCPU',
    ({ vcpus: [vcpu] }) => {
      if (vcpu !== undefined) vcpu.state ^= 6;
    },
  ],
  [
    'the tree lock',
    ({ locks }) => {
      locks.septTree = 1;
    },
  ],
  [
    'an entry',
    ({ sept: [entry] }) => {
      if (entry !== undefined) entry.raw = bits(entry.raw, 0x4n);
    },
  ],
  [
    'the address of an entry',
    ({ sept: [entry] }) => {
      if (entry !== undefined) entry.hpa = bits(entry.hpa, 0x1000n);
    },
  ],
  [
    'a type of a page',
    (
      _td,
      {
        final: {
          pamt: [row],
        },
      },
    ) => {
      if (row !== undefined) row.type = 'REG';
    },
  ],
];

const HARMLESS: readonly [string, (history: Recorded) => void][] = [
  [
    'another name and other threads',
    (history) => {
      history.id = 'renamed';
      for (const event of history.events) event.t = 9 - event.t;
    },
  ],
  [
    'another clock',
    ({ events }) => {
      for (const event of events) Object.assign(event, { inv: event.inv * 7, ret: event.ret * 7 });
    },
  ],
  [
    'the order of the list',
    ({ events }) => {
      events.reverse();
    },
  ],
  [
    'a call that may have taken longer',
    ({ events }) => {
      const end = Math.max(...events.map(({ ret }) => ret));
      events.forEach((event, i) => {
        if (i % 4 === 0 && event.vcpu === null) event.ret = end + i + 1;
      });
    },
  ],
  [
    'two beginnings, or two ends, with nothing between them',
    ({ events }) => {
      for (const kind of ['inv', 'ret'] as const) {
        const sorted = events.toSorted((a, b) => a[kind] - b[kind]);
        const at = sorted.findIndex((event, i) => event[kind] + 1 === sorted[i + 1]?.[kind]);
        const [first, second] = [sorted[at], sorted[at + 1]];
        if (first !== undefined && second !== undefined)
          [first[kind], second[kind]] = [second[kind], first[kind]];
      }
    },
  ],
  [
    'bits of locks and priority',
    ({
      final: {
        tds: [{ sept }],
      },
    }) => {
      for (const entry of sept) entry.raw = bits(entry.raw, (1n << 52n) | (1n << 11n));
    },
  ],
];

describe('a recorded history with', () => {
  test.each(ALTERATIONS)('$name is refused', ({ applies, change, says }) => {
    let tried = 0;
    for (const history of HISTORIES) {
      const places = history.events.flatMap((event, i) => (applies(event, history) ? [i] : []));
      for (const place of places.slice(0, EACH)) {
        const altered = structuredClone(history);
        const event = altered.events[place] as Event; // a place of the same list
        change(event, altered);
        const { verdict, why } = judged(altered);
        tried++;
        expect(verdict, `${history.id} ${place}: ${why}`).toBe('unexplained');
        if (says === undefined) continue;
        expect(why).toMatch(says);
        expect(why?.startsWith(`event ${place} (${event.op})`), why ?? '').toBe(true);
      }
    }
    expect(tried).toBeGreaterThanOrEqual(2);
  });

  test.each(FINALS)('another end, %s, is refused for its end', (_what, change) => {
    for (const history of HISTORIES) {
      const altered = structuredClone(history);
      change(altered.final.tds[0], altered);
      expect(judged(altered)).toMatchObject({
        verdict: 'unexplained',
        why: expect.stringMatching(/^the final state: /),
      });
    }
  });

  test.each(HARMLESS)('%s changed is explained as before', (_what, change) => {
    for (const history of HISTORIES) {
      const altered = structuredClone(history);
      change(altered);
      expect(judged(altered)).toMatchObject({ id: altered.id, verdict: 'explained', why: null });
    }
  });
});
