/** Alterations of recorded concurrent histories, and what the judge says of each. */

export interface Event {
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
export interface History {
  id: string;
  events: Event[];
  final: { tds: [Td]; pamt: { type: string; bepoch: number }[] };
}

const bits = (hex: string, mask: bigint): string =>
  `0x${(BigInt(hex) ^ mask).toString(16).padStart(16, '0')}`;
const isBusy = ({ status }: Event): boolean => status.startsWith('0x80000200');
const answers = (event: Event): boolean => event.result === 'RETURN' && !isBusy(event);
const isAlone = (event: Event, { events }: History): boolean =>
  events.every((other) => other === event || other.ret < event.inv || event.ret < other.inv);
const isBeforeAnyVcpu = (event: Event, { events }: History): boolean =>
  events.every(({ result, inv }) => result !== 'TD_ENTERED' || event.ret < inv);

export interface Alteration {
  readonly name: string;
  readonly applies: (event: Event, history: History) => boolean;
  readonly change: (event: Event, history: History) => void;
  /** The judge's text about the altered call; absent if another call can show the alteration. */
  readonly says?: RegExp;
}

const ADDING = ['TDH.MEM.PAGE.ADD', 'TDH.MEM.PAGE.AUG', 'TDH.MEM.SEPT.ADD'];

export const ALTERATIONS: readonly Alteration[] = [
  {
    name: 'a status that no state leads to',
    applies: answers,
    says: /may answer .*, not TDX_MAX_VCPUS_EXCEEDED/,
    change: (event) => {
      event.status = '0xc000070500000000';
    },
  },
  {
    name: 'a status that another state leads to',
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
    name: 'a different RCX',
    applies: (event) => answers(event) && event.out?.['rcx'] !== undefined,
    change: ({ out = {} }) => {
      out['rcx'] = bits(out['rcx'] ?? '', 0x1000n);
    },
    says: /rcx may be /,
  },
  {
    name: 'a different RDX',
    applies: (event) => answers(event) && event.out?.['rdx'] !== undefined,
    change: ({ out = {} }) => {
      out['rdx'] = bits(out['rdx'] ?? '', 0x800n);
    },
    says: /rdx may be /,
  },
  {
    name: 'an exit for a different GPA',
    applies: ({ op, result }) => op.startsWith('TDG.') && result === 'TD_EXIT',
    change: ({ out = {} }) => {
      out['r8'] = bits(out['r8'] ?? '', 0x1000n);
    },
    says: /r8 may be /,
  },
  {
    name: 'an exit instead of a return',
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
    says: /tries no lock for which it is refused with operand 186/,
  },
  {
    name: 'a refusal with no other call at the time',
    applies: (event, history) =>
      answers(event) &&
      event.op.startsWith('TDH.MEM.') &&
      isAlone(event, history) &&
      isBeforeAnyVcpu(event, history),
    change: (event) => {
      event.status = '0x8000020000000092';
    },
    says: /no call or vCPU can have held|tries no lock/,
  },
  {
    name: 'a refusal of a host call for host priority',
    applies: ({ op, result }) => op.startsWith('TDH.') && result === 'RETURN',
    change: (event) => {
      event.status = '0x8000020400000001';
    },
    says: /is a host call/,
  },
  {
    name: 'a success of a call that was refused',
    applies: (event) => isBusy(event) && ADDING.includes(event.op),
    change: (event) => {
      event.status = '0x0000000000000000';
    },
  },
  {
    name: 'a missing call that added a page or table',
    applies: ({ op, status }) => ADDING.includes(op) && BigInt(status) === 0n,
    change: (event, { events }) => {
      events.splice(events.indexOf(event), 1);
    },
  },
  {
    name: 'a missing TRACK that succeeded',
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
      const exit = exitOf(event, history) as Event; // applies() has found it
      [event.inv, event.ret, exit.inv, exit.ret] = [exit.inv, exit.ret, event.inv, event.ret];
      history.events.sort((a, b) => a.inv - b.inv);
    },
  },
];

/** The exit that follows an entry of a vCPU. */
const exitOf = (entry: Event, { events }: History): Event | undefined =>
  events.find(({ op, vcpu, inv }) => op === 'HW.TD.EXIT' && vcpu === entry.vcpu && inv > entry.ret);

export const FINAL_ALTERATIONS: readonly [string, (td: Td, history: History) => void][] = [
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

export const HARMLESS: readonly [string, (history: History) => void][] = [
  [
    'a different id and different thread numbers',
    (history) => {
      history.id = 'renamed';
      for (const event of history.events) event.t = 9 - event.t;
    },
  ],
  [
    'a different unit of time',
    ({ events }) => {
      for (const event of events) Object.assign(event, { inv: event.inv * 7, ret: event.ret * 7 });
    },
  ],
  [
    'a different order of the list',
    ({ events }) => {
      events.reverse();
    },
  ],
  [
    'calls that return later',
    ({ events }) => {
      const end = Math.max(...events.map(({ ret }) => ret));
      events.forEach((event, i) => {
        if (i % 4 === 0 && event.vcpu === null) event.ret = end + i + 1;
      });
    },
  ],
  [
    'two adjacent begins, or two adjacent ends, swapped',
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
    'different lock and host-priority bits at the end',
    ({
      final: {
        tds: [{ sept }],
      },
    }) => {
      for (const entry of sept) entry.raw = bits(entry.raw, (1n << 52n) | (1n << 11n));
    },
  ],
];
