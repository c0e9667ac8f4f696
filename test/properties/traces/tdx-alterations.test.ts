/**
 * The trace of a host of TDX, as one of our runs tells it, with one thing made wrong: refused by
 * the rule that it is about, at its line. And what such a trace does not tell is not judged.
 */
import { describe, expect, test } from 'vitest';
import { POLICIES } from '../../../impl/index.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { Emitter } from '../../../properties/traces/emit/emit.ts';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { TDX_TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';

function emitted(name: string, text: string): string[] {
  const policy = POLICIES.find((one) => one.name === name);
  if (policy === undefined) throw new Error(`no policy ${name}`);
  const { lines, violation } = new Emitter({ policy, module: '1.5' }).emit(parseScenario(text));
  if (violation !== null) throw new Error(`${name} breaks ${violation.rule}`);
  return [...lines];
}

/** A page comes and goes. */
const PLAIN = emitted('upstream-6.16', 'v0: touch 0 | h0: unmap 0');
const BUSY_HISTORY =
  'v0: accept-huge 0; accept 0 | h0: unmap 0 | v1: accept-huge 0 | @v1.0.34>1 @v0.1.0>2 @v0.0.37>1';
/** A removal that meets BUSY, as a guest accepts the page. */
const BUSY = emitted('upstream-6.16', BUSY_HISTORY);
/** A large page is split. */
const SPLIT = emitted('huge-pages-v5', 'v0: accept-huge 0 | h0: unmap 0');
/** Two pages become a large one. */
const MERGED = emitted('exclusive', 'v0: accept 0; accept 1 | h0: promote 0');
/** A memslot is deleted. */
const DELETED = emitted('upstream-6.16', 'v0: touch 0 | h0: remove-slot 0');

const name = (event: string): RegExp => new RegExp(`: ${event}: `);

/** The index of the n-th event of that name; negative counts from the end. */
function find(lines: readonly string[], event: string, n = 0): number {
  const all = lines.flatMap((line, i) => (name(event).test(line) ? [i] : []));
  const at = all.at(n);
  if (at === undefined) throw new Error(`no event ${event}`);
  return at;
}

/** The next event of that name after a line. */
function after(lines: readonly string[], at: number, event: string): number {
  const next = lines.findIndex((line, i) => i > at && name(event).test(line));
  if (next < 0) throw new Error(`no event ${event} after line ${at + 1}`);
  return next;
}

/** The event is taken away; the numbers of the other lines stay. */
const drop = (lines: string[], at: number): number => {
  lines[at] = '#';
  return at;
};

function edit(lines: string[], at: number, from: string | RegExp, to: string): number {
  const edited = (lines[at] ?? '').replace(from, to);
  if (edited === lines[at]) throw new Error(`line ${at + 1} has no ${from}`);
  lines[at] = edited;
  return at;
}

/** A call is made no more. */
const uncalled = (lines: string[], call: string, n = 0): void => {
  drop(lines, find(lines, `${call}_ret`, n));
  drop(lines, find(lines, call, n));
};

/**
 * What is wrong, in which trace, the rule; `alter` answers with the index of the line at which it
 * shows.
 */
const ALTERATIONS: readonly (readonly [
  what: string,
  of: readonly string[],
  rule: string,
  alter: (lines: string[]) => number,
])[] = [
  [
    'a page is in the mirror, and AUG has failed',
    PLAIN,
    'K44',
    (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0xc0000b0d00000001',
      );
      return after(lines, at, 'chg');
    },
  ],
  [
    'AUG is called by who has not frozen the entry',
    PLAIN,
    'K44',
    (lines) => {
      const call = find(lines, 'tdh_mem_page_aug');
      drop(lines, call - 1);
      return call;
    },
  ],
  [
    'another page is in the mirror than in the Secure EPT',
    PLAIN,
    'K44',
    (lines) => {
      const call = edit(lines, find(lines, 'tdh_mem_page_aug'), 'pfn=0x103000', 'pfn=0x103001');
      return after(lines, call, 'chg');
    },
  ],
  [
    'a page is added before the table above it',
    PLAIN,
    'K45',
    (lines) => {
      drop(lines, after(lines, find(lines, 'tdh_mem_sept_add', -1), 'chg'));
      uncalled(lines, 'tdh_mem_sept_add', -1);
      return find(lines, 'tdh_mem_page_aug');
    },
  ],
  [
    'a leaf leaves the mirror under the shared lock',
    PLAIN,
    'K46',
    (lines) => {
      const block = find(lines, 'tdh_mem_range_block');
      const lock = lines.findLastIndex((line, i) => i < block && name('wl').test(line));
      edit(lines, lock, 'wl: (_raw_write', 'rl: (_raw_read');
      edit(lines, lock + 1, 'wl_ret', 'rl_ret');
      return edit(lines, block - 1, 'shared=0', 'shared=1');
    },
  ],
  [
    'a page left the mirror, and stays in the Secure EPT',
    PLAIN,
    'K47',
    (lines) => {
      uncalled(lines, 'tdh_mem_page_remove');
      return after(lines, find(lines, 'tdh_mem_range_block'), 'wu');
    },
  ],
  [
    'a table is blocked while it has pages',
    PLAIN,
    'K48',
    (lines) => {
      const block = edit(
        lines,
        find(lines, 'tdh_mem_range_block'),
        /gpa=\S+ level=1/,
        'gpa=0x0 level=2',
      );
      return after(lines, block, 'tdh_mem_page_remove');
    },
  ],
  [
    'a large page becomes a table without DEMOTE',
    SPLIT,
    'K49',
    (lines) => {
      const at = find(lines, 'tdh_mem_page_demote');
      uncalled(lines, 'tdh_mem_page_demote');
      return after(lines, at, 'chg');
    },
  ],
  [
    'a leaf of the deleted memslot stays',
    DELETED,
    'K50',
    (lines) => {
      const slot = find(lines, 'slot');
      edit(lines, slot, /gfn=\S+ n=\S+/, 'gfn=0x0 n=0x40400');
      return after(lines, slot, 'slot_ret');
    },
  ],
  [
    'a leaf of another memslot goes',
    DELETED,
    'K50',
    (lines) => {
      const slot = edit(lines, find(lines, 'slot'), /gfn=\S+ n=\S+/, 'gfn=0x200 n=0x1');
      return after(lines, slot, 'chg');
    },
  ],
  [
    'the host uses a page that REMOVE left with the module',
    PLAIN,
    'K51',
    (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_remove_ret'),
        'status=0x0',
        'status=0xc000010000000001',
      );
      // KVM gives the VM up, and forgets to leak the page
      lines.splice(
        at + 1,
        0,
        (lines[at] ?? '').replace(
          /tdh_.*/,
          'request: (kvm_make_all_cpus_request+0x4) kvm=0xffff888100000000 req=0x301',
        ),
      );
      return find(lines, 'reset_page');
    },
  ],
  [
    'a page is added pending while the TD is built',
    PLAIN,
    'K52',
    (lines) => {
      uncalled(lines, 'tdh_mr_finalize');
      return find(lines, 'tdh_mem_page_aug');
    },
  ],
  [
    'KVM goes on after BUSY as if the page were there',
    PLAIN,
    'K53',
    (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0x8000020000000092',
      );
      return after(lines, at, 'tdx_sept_set_private_spte_ret');
    },
  ],
  [
    'a page becomes present after BUSY, under a lock of its own',
    MERGED,
    'K53',
    (lines) => {
      const call = find(lines, 'tdh_mem_page_aug');
      drop(lines, call - 1);
      const end = edit(
        lines,
        after(lines, call, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0x8000020000000092',
      );
      drop(lines, after(lines, end, 'tdx_sept_set_private_spte_ret'));
      return after(lines, end, 'chg');
    },
  ],
  [
    'a page is removed without BLOCK',
    PLAIN,
    'K54',
    (lines) => {
      uncalled(lines, 'tdh_mem_range_block');
      return find(lines, 'tdh_mem_page_remove');
    },
  ],
  [
    'a page is removed without TRACK',
    PLAIN,
    'K54',
    (lines) => {
      uncalled(lines, 'tdh_mem_track');
      return find(lines, 'tdh_mem_page_remove');
    },
  ],
  [
    'a vCPU is inside since before TRACK',
    PLAIN,
    'K54',
    (lines) => {
      const remove = find(lines, 'tdh_mem_page_remove');
      const exit = lines.findLastIndex((line, i) => i < remove && name('kvm_exit').test(line));
      drop(lines, exit);
      return remove;
    },
  ],
  [
    'cache lines of a page are not written back',
    PLAIN,
    'K54',
    (lines) => {
      uncalled(lines, 'tdh_phymem_page_wbinvd');
      return find(lines, 'reset_page');
    },
  ],
  [
    'TRACK meets a vCPU of the epoch before',
    PLAIN,
    'K55',
    (lines) =>
      edit(lines, find(lines, 'tdh_mem_track_ret'), 'status=0x0', 'status=0x8000020100000000'),
  ],
  [
    'a removal is tried again while vCPUs may enter',
    BUSY,
    'K56',
    (lines) => {
      const bar = drop(lines, find(lines, 'bar'));
      return lines.findIndex((line, i) => i > bar && / h\d-.* tdh_mem_\w+: /.test(line));
    },
  ],
  [
    'a removal is refused a second time',
    BUSY,
    'K56',
    (lines) => {
      const again = lines.findIndex(
        (line, i) => i > find(lines, 'bar') && / h\d-.* tdh_mem_\w+_ret: /.test(line),
      );
      return edit(lines, again, 'status=0x0', 'status=0x8000020000000092');
    },
  ],
  [
    'entries stay barred',
    BUSY,
    'K56',
    (lines) => after(lines, drop(lines, find(lines, 'unbar')), 'wu'),
  ],
  [
    'an exit is handled twice',
    PLAIN,
    'K57',
    (lines) => {
      const exit = find(lines, 'tdx_handle_exit');
      const line = lines[exit] ?? '';
      lines.splice(after(lines, exit, 'tdx_handle_exit_ret') + 1, 0, line);
      return after(lines, exit, 'tdx_handle_exit');
    },
  ],
  [
    'a vCPU goes back into the TD, and nothing was mapped',
    PLAIN,
    'K58',
    (lines) => {
      const fault = find(lines, 'tdp_fault');
      const end = after(lines, fault, 'tdx_handle_exit_ret');
      lines.splice(fault + 1, end - fault - 1);
      return fault + 1;
    },
  ],
  [
    'TDH.VP.ENTER is refused, and an exit is handled',
    PLAIN,
    'K59',
    (lines) => {
      edit(lines, find(lines, 'tdh_vp_enter_ret'), 'status=0x0', 'status=0x8000020000000001');
      return find(lines, 'tdx_handle_exit');
    },
  ],
  [
    'the TDR is reclaimed before other pages',
    PLAIN,
    'K62',
    (lines) =>
      edit(
        lines,
        find(lines, 'tdh_phymem_page_reclaim_ret'),
        'status=0x0',
        'status=0xc000040000000000',
      ),
  ],
  [
    'VPFLUSHDONE comes before every vCPU is flushed',
    PLAIN,
    'K62',
    (lines) =>
      edit(
        lines,
        find(lines, 'tdh_mng_vpflushdone_ret'),
        'status=0x0',
        'status=0x8000082400000000',
      ),
  ],
  [
    'a large page is split that is not blocked',
    SPLIT,
    'K65',
    (lines) =>
      edit(
        lines,
        find(lines, 'tdh_mem_page_demote_ret'),
        'status=0x0',
        'status=0xc0000b0600000001',
      ),
  ],
  [
    'an interrupted merge is given up half way',
    MERGED,
    'K66',
    (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_promote_ret'),
        'status=0x0',
        'status=0x8000000400000000',
      );
      drop(lines, after(lines, at, 'chg'));
      return after(lines, at, 'wu');
    },
  ],
  [
    'a table that could not be merged stays blocked',
    MERGED,
    'K67',
    (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_promote_ret'),
        'status=0x0',
        'status=0xc0000b0900000001',
      );
      drop(lines, after(lines, at, 'chg'));
      return after(lines, at, 'wu');
    },
  ],
  [
    'a vCPU gives up when TDH.VP.ENTER is refused',
    PLAIN,
    'K59',
    (lines) => {
      const refused = edit(
        lines,
        find(lines, 'tdh_vp_enter_ret'),
        'status=0x0',
        'status=0x8000020000000001',
      );
      const exit = after(lines, refused, 'kvm_exit');
      lines.splice(
        exit + 1,
        0,
        (lines[exit] ?? '').replace(/kvm_exit: .*/, 'kvm_userspace_exit: reason error (16)'),
      );
      return exit + 1;
    },
  ],
  [
    'the HKID is freed before caches are written back',
    PLAIN,
    'K62',
    (lines) => {
      uncalled(lines, 'tdh_phymem_cache_wb');
      return find(lines, 'tdh_mng_key_freeid');
    },
  ],
];

test.each([
  ['a page', PLAIN],
  ['BUSY', BUSY],
  ['a split', SPLIT],
  ['a merge', MERGED],
  ['a memslot', DELETED],
] as const)('the trace of %s is accepted as it is', (_, lines) => {
  expect(judgeTrace(lines).violations).toEqual([]);
});

test.each(ALTERATIONS)('%s', (_, of, rule, alter) => {
  const lines = [...of];
  const line = alter(lines) + 1;
  const { violations } = judgeTrace(lines);

  expect(violations.filter((violation) => violation.line < line)).toEqual([]);
  expect(
    violations.filter((violation) => violation.line === line).map((violation) => violation.rule),
  ).toContain(rule);
});

test('each rule about TDs has an alteration', () => {
  const rules = new Set(ALTERATIONS.map(([, , rule]) => rule));
  expect([...rules].toSorted()).toEqual([...TDX_TRACE_RULE_IDS].toSorted());
});

describe('what is not told is not judged', () => {
  const TRACES = [PLAIN, BUSY, SPLIT, MERGED, DELETED];
  const events = [
    ...new Set(
      TRACES.flatMap((lines) => lines.flatMap((line) => /\d: (\w+): /.exec(line)?.[1] ?? [])),
    ),
  ];

  test.each(events)('without the event %s', (event) => {
    for (const lines of TRACES) {
      const [head = '', ...others] = lines.filter((line) => !name(event).test(line));
      const recorded = head
        .split(' ')
        .filter((word) => word !== event)
        .join(' ');
      expect(judgeTrace([recorded, ...others]).violations).toEqual([]);
      // a real trace does not list what was recorded
      expect(judgeTrace(others).violations).toEqual([]);
    }
  });

  test('before it begins, and after it ends', () => {
    for (const [head = '', ...lines] of TRACES) {
      for (let at = 0; at < lines.length; at += 3) {
        expect(judgeTrace([head, ...lines.slice(at)]).violations).toEqual([]);
        expect(judgeTrace([head, ...lines.slice(0, at)]).violations).toEqual([]);
      }
    }
  });

  test('where events were lost', () => {
    for (const lines of TRACES) {
      for (let at = 1; at < lines.length; at += 3) {
        const verdict = judgeTrace([
          ...lines.slice(0, at),
          'CPU:0 [LOST 4 EVENTS]',
          ...lines.slice(at + 4),
        ]);
        expect(verdict.violations).toEqual([]);
      }
    }
  });
});
