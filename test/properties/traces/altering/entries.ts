/** Alterations of single SPTEs: transitions, chains, levels and bits. */
import type { Alteration, Edits } from './edits.ts';
import { type Event, isShared, levelOf, NoPlace, type Trace, valueOf } from './trace.ts';

const PAGE_BITS = 12n;
/** A bit of the page's frame. */
const OTHER_PAGE = 1n << (PAGE_BITS + 2n);
const OTHER_HUGE = 1n << (PAGE_BITS + 9n + 2n);
const [W, HOST_WRITABLE, MMU_WRITABLE] = [2n, 0x200n, 0x400n];
/** Number of GFNs that a 2M entry maps. */
const HUGE = 512n;
const RECENT = 2000;

const oldOf = (e: Event): bigint => valueOf(e, 'old');
const newOf = (e: Event): bigint => valueOf(e, 'new');

const maps =
  (trace: Trace, level: number) =>
  (e: Event): boolean =>
    levelOf(e) === level &&
    isShared(e) &&
    trace.isLeaf(newOf(e), level) &&
    oldOf(e) === trace.empty;

const zaps =
  (trace: Trace) =>
  (e: Event): boolean =>
    levelOf(e) === 1 &&
    !isShared(e) &&
    trace.isLeaf(oldOf(e), 1) &&
    newOf(e) === trace.empty &&
    trace.previous(e, ({ name }) => name !== 'chg' && name !== 'kvm_tdp_mmu_spte_changed').name ===
      'zap_leafs';

/** The change zaps a leaf that a fault installed, not a split. */
const zapsMapped =
  (trace: Trace) =>
  (e: Event): boolean =>
    zaps(trace)(e) &&
    trace.lines
      .slice(Math.max(0, e.at - RECENT), e.at)
      .some((line) => line.includes(` new=0x${oldOf(e).toString(16)} `));

/** Alters one value of the first change that matches. */
const change = (
  what: string,
  rule: string,
  matches: (trace: Trace) => (e: Event) => boolean,
  key: string,
  by: (e: Event, trace: Trace) => bigint,
): Alteration => ({
  what,
  rule,
  alter: (edits, from) => {
    const at = edits.trace.first('chg', from, matches(edits.trace));
    edits.set(at, key, by(at, edits.trace));
    return edits.lineOf(at);
  },
});

/** Inserts a change made from the first one that matches, after it. */
const insertAfter = (
  what: string,
  rule: string,
  matches: (trace: Trace) => (e: Event) => boolean,
  by: (e: Event, trace: Trace) => Readonly<Record<string, bigint>>,
): Alteration => ({
  what,
  rule,
  alter: (edits, from) => {
    const at = edits.trace.first('chg', from, matches(edits.trace));
    edits.insert(at, edits.like(at, by(at, edits.trace)));
    return edits.lineOf(at, 1);
  },
});

const freezes =
  (trace: Trace) =>
  (e: Event): boolean =>
    levelOf(e) === 1 && trace.isLeaf(oldOf(e), 1) && newOf(e) === trace.frozen;

/** Redirects an entry from one table to another. */
function redirect(edits: Edits, from: number): number {
  const { trace } = edits;
  const linked = trace.first(
    'chg',
    from,
    (e) => levelOf(e) === 2 && oldOf(e) === trace.empty && trace.isTable(newOf(e), 2),
  );
  edits.insert(linked, edits.like(linked, { old: newOf(linked), new: newOf(linked) ^ OTHER_PAGE }));
  return edits.lineOf(linked, 1);
}

export const ENTRIES: readonly Alteration[] = [
  change(
    'a zap finds another page than the leaf had',
    'K3',
    zapsMapped,
    'old',
    (e) => oldOf(e) ^ OTHER_PAGE,
  ),
  change(
    'a fault installs a leaf over another one',
    'K2',
    (trace) => maps(trace, 1),
    'old',
    (e) => newOf(e) ^ (OTHER_PAGE & ~0n),
  ),
  insertAfter(
    'a leaf becomes a leaf of another page',
    'K8',
    (trace) => maps(trace, 1),
    (e) => ({ old: newOf(e), new: newOf(e) ^ OTHER_PAGE }),
  ),
  insertAfter(
    'a huge leaf becomes a leaf of another page',
    'K8',
    (trace) => maps(trace, 2),
    (e) => ({ old: newOf(e), new: newOf(e) ^ OTHER_HUGE }),
  ),
  insertAfter('an empty entry is rewritten as empty', 'K9', zaps, (_, trace) => ({
    old: trace.empty,
    new: trace.empty,
  })),
  insertAfter('a FROZEN entry becomes a leaf', 'K10', freezes, (e, trace) => ({
    old: trace.frozen,
    new: oldOf(e),
  })),
  insertAfter(
    'a task overwrites a FROZEN entry without reading it',
    'K10',
    freezes,
    (e, trace) => ({
      old: oldOf(e),
      new: trace.empty,
    }),
  ),
  { what: 'an entry is redirected to another table', rule: 'K17', alter: redirect },
  {
    what: 'a leaf is installed at a level that its GFN is not aligned to',
    rule: 'K12',
    alter: (edits, from) => {
      const { trace } = edits;
      const at = trace.first(
        'chg',
        from,
        (e) => maps(trace, 1)(e) && valueOf(e, 'gfn') % HUGE !== 0n,
      );
      edits.set(at, 'level', 2);
      return edits.lineOf(at);
    },
  },
  change(
    'the page of a huge leaf is not aligned',
    'K12',
    (trace) => maps(trace, 2),
    'new',
    (e) => newOf(e) ^ OTHER_PAGE,
  ),
  change(
    'the GFN of a huge leaf is not aligned',
    'K12',
    (trace) => maps(trace, 2),
    'gfn',
    (e) => valueOf(e, 'gfn') + 1n,
  ),
  change(
    'a leaf is writable and not MMU-writable',
    'K19',
    (trace) => (e) => maps(trace, 1)(e) && (newOf(e) & W) !== 0n,
    'new',
    (e) => newOf(e) & ~MMU_WRITABLE,
  ),
  change(
    'a leaf is MMU-writable and not host-writable',
    'K19',
    (trace) => (e) => maps(trace, 1)(e) && (newOf(e) & W) !== 0n,
    'new',
    (e) => newOf(e) & ~HOST_WRITABLE,
  ),
  {
    what: 'a fast page fault sets W of a leaf that is not MMU-writable',
    rule: 'K1',
    alter: (edits, from) => {
      const at = edits.trace.first('fast_page_fault', from, ({ text }) =>
        / old 0x\w+e65 .*fixed 1/.test(text),
      );
      edits.rewrite(at, /e65 new/, '825 new');
      return edits.lineOf(at);
    },
  },
  {
    what: 'a fast page fault writes an empty entry',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      const at = trace.first('fast_page_fault', from, ({ text }) =>
        / old 0x\w+e65 .*fixed 1/.test(text),
      );
      edits.rewrite(at, / old 0x\w+ /, ` old 0x${trace.empty.toString(16)} `);
      return edits.lineOf(at);
    },
  },
  {
    what: 'a fast page fault restores a leaf that was zapped',
    rule: 'K2',
    elsewhere: 'linux-6.12.117-two-vms',
    alter: (edits, from) => {
      const { trace } = edits;
      const faults = new Map(
        trace
          .all('fast_page_fault')
          .filter((e) => e.at >= from && / old 0x\w+e65 .*fixed 1/.test(e.text))
          .map((e) => [/ gva (\w+)\w\w\w /.exec(e.text)?.[1] ?? '', e]),
      );
      const zapped = trace.first('chg', from, (e) => {
        const fault = faults.get(valueOf(e, 'gfn').toString(16));
        return (
          fault !== undefined &&
          fault.at < e.at &&
          zaps(trace)(e) &&
          (oldOf(e) & 0xfffn) === 0xe67n &&
          !trace.lines
            .slice(fault.at + 1, e.at)
            .some((line) => line.includes(`gfn=${/gfn=(\w+)/.exec(e.text)?.[1] ?? ''} `))
        );
      });
      const fault = faults.get(valueOf(zapped, 'gfn').toString(16));
      if (fault === undefined) throw new NoPlace('no fast page fault set W');
      // the zap reads the entry before the fault, which then overwrites it
      const released = trace.next(zapped, ({ name }) => name === 'wu');
      edits.drop(fault);
      edits.set(zapped, 'old', oldOf(zapped) & ~W);
      edits.insert(released, fault.text);
      return edits.lineOf(released, 1);
    },
  },
  {
    what: 'aging clears the W that a fast page fault set',
    rule: 'K2',
    alter: (edits, from) => {
      const { trace } = edits;
      if (trace.kernel !== '7.3') throw new NoPlace('aging holds mmu_lock');
      const fault = trace.first('fast_page_fault', from, ({ text }) =>
        / old 0x\w+e65 .*fixed 1/.test(text),
      );
      const value = / old 0x(\w+)e65/.exec(fault.text)?.[1] ?? '';
      const gfn = / gva (\w+)\w\w\w /.exec(fault.text)?.[1] ?? '';
      const text = fault.text.replace(
        /fast_page_fault:.*/,
        `kvm_tdp_mmu_spte_changed: as id 0 gfn ${gfn} level 1 ` +
          `old_spte ${value}e65 new_spte ${value}e45`,
      );
      edits.insert(fault, text);
      return edits.lineOf(fault, 1);
    },
  },
  {
    what: 'aging changes the page of a leaf',
    rule: 'K1',
    elsewhere: 'linux-7.3.4-c-ee-aging-lrugen',
    alter: (edits, from) => {
      const { trace } = edits;
      const aged = trace.first('kvm_tdp_mmu_spte_changed', from, ({ text }) =>
        / old_spte \w+e6([57]) new_spte \w+e4\1/.test(text),
      );
      if (trace.previous(aged, () => true).name === 'chg')
        throw new NoPlace('the change has two events');
      edits.rewrite(aged, /(new_spte \w)(\w)/, '$1f');
      return edits.lineOf(aged);
    },
  },
];
