/** What becomes of an entry, by itself: transitions, chains, levels and bits. */
import type { Alteration, Edits } from './edits.ts';
import { type Event, isShared, levelOf, NoPlace, type Trace, valueOf } from './trace.ts';

const PAGE_BITS = 12n;
/** Another bit of the page. */
const OTHER_PAGE = 1n << (PAGE_BITS + 2n);
const OTHER_HUGE = 1n << (PAGE_BITS + 9n + 2n);
const [W, HOST_WRITABLE, MMU_WRITABLE] = [2n, 0x200n, 0x400n];
/** GFNs of an entry at level 2. */
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

/** It was mapped by a fault, not by a split. */
const zapsMapped =
  (trace: Trace) =>
  (e: Event): boolean =>
    zaps(trace)(e) &&
    trace.lines
      .slice(Math.max(0, e.at - RECENT), e.at)
      .some((line) => line.includes(` new=0x${oldOf(e).toString(16)} `));

/** Alters one value of the first change that suits. */
const change = (
  what: string,
  rule: string,
  suits: (trace: Trace) => (e: Event) => boolean,
  key: string,
  by: (e: Event, trace: Trace) => bigint,
): Alteration => ({
  what,
  rule,
  alter: (edits, from) => {
    const at = edits.trace.first('chg', from, suits(edits.trace));
    edits.set(at, key, by(at, edits.trace));
    return edits.lineOf(at);
  },
});

/** What is put in after the first change that suits, made from it. */
const wrote = (
  what: string,
  rule: string,
  suits: (trace: Trace) => (e: Event) => boolean,
  by: (e: Event, trace: Trace) => Readonly<Record<string, bigint>>,
): Alteration => ({
  what,
  rule,
  alter: (edits, from) => {
    const at = edits.trace.first('chg', from, suits(edits.trace));
    edits.insert(at, edits.like(at, by(at, edits.trace)));
    return edits.lineOf(at, 1);
  },
});

const freezes =
  (trace: Trace) =>
  (e: Event): boolean =>
    levelOf(e) === 1 && trace.isLeaf(oldOf(e), 1) && newOf(e) === trace.frozen;

/**
 * A table under this entry is not unlinked or replaced: any change of it that keeps it present will
 * do.
 */
function swap(edits: Edits, from: number): number {
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
    'a leaf that is zapped had another page',
    'K3',
    zapsMapped,
    'old',
    (e) => oldOf(e) ^ OTHER_PAGE,
  ),
  change(
    'a leaf is mapped over another one',
    'K2',
    (trace) => maps(trace, 1),
    'old',
    (e) => newOf(e) ^ (OTHER_PAGE & ~0n),
  ),
  wrote(
    'a leaf becomes one of another page',
    'K8',
    (trace) => maps(trace, 1),
    (e) => ({ old: newOf(e), new: newOf(e) ^ OTHER_PAGE }),
  ),
  wrote(
    'a huge leaf becomes one of another page',
    'K8',
    (trace) => maps(trace, 2),
    (e) => ({ old: newOf(e), new: newOf(e) ^ OTHER_HUGE }),
  ),
  wrote('nothing becomes nothing', 'K9', zaps, (_, trace) => ({
    old: trace.empty,
    new: trace.empty,
  })),
  wrote('a frozen entry becomes a leaf', 'K10', freezes, (e, trace) => ({
    old: trace.frozen,
    new: oldOf(e),
  })),
  wrote('a frozen entry is overwritten by one who does not look', 'K10', freezes, (e, trace) => ({
    old: oldOf(e),
    new: trace.empty,
  })),
  { what: 'an entry comes to point to another table', rule: 'K17', alter: swap },
  {
    what: 'a leaf is put at the wrong level',
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
    'a huge leaf has a page that is none',
    'K12',
    (trace) => maps(trace, 2),
    'new',
    (e) => newOf(e) ^ OTHER_PAGE,
  ),
  change(
    'a huge leaf is for a GFN in its middle',
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
    what: 'a fast page fault gives W to who may not have it',
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
    what: 'a fast page fault makes something of what was empty',
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
    what: 'a fast page fault brings back what was zapped',
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
      if (fault === undefined) throw new NoPlace('nobody gave it W');
      // the zap saw what was there before the fault, which then wrote over it
      const released = trace.next(zapped, ({ name }) => name === 'wu');
      edits.drop(fault);
      edits.set(zapped, 'old', oldOf(zapped) & ~W);
      edits.insert(released, fault.text);
      return edits.lineOf(released, 1);
    },
  },
  {
    what: 'aging takes back the W that a fast page fault gave',
    rule: 'K2',
    alter: (edits, from) => {
      const { trace } = edits;
      if (trace.kernel !== '7.3') throw new NoPlace('who ages has the lock');
      const fault = trace.first('fast_page_fault', from, ({ text }) =>
        / old 0x\w+e65 .*fixed 1/.test(text),
      );
      const value = / old 0x(\w+)e65/.exec(fault.text)?.[1] ?? '';
      const gfn = / gva (\w+)\w\w\w /.exec(fault.text)?.[1] ?? '';
      const text = fault.text.replace(
        /fast_page_fault:.*/,
        `kvm_tdp_mmu_spte_changed: as id 0 gfn ${gfn} level 1 old_spte ${value}e65 new_spte ${value}e45`,
      );
      edits.insert(fault, text);
      return edits.lineOf(fault, 1);
    },
  },
  {
    what: 'aging writes the page of another entry',
    rule: 'K1',
    elsewhere: 'linux-7.3.4-c-ee-aging-lrugen',
    alter: (edits, from) => {
      const { trace } = edits;
      const aged = trace.first('kvm_tdp_mmu_spte_changed', from, ({ text }) =>
        / old_spte \w+e6([57]) new_spte \w+e4\1/.test(text),
      );
      if (trace.previous(aged, () => true).name === 'chg') throw new NoPlace('it is told of twice');
      edits.rewrite(aged, /(new_spte \w)(\w)/, '$1f');
      return edits.lineOf(aged);
    },
  },
];
