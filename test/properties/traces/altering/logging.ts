/** Alterations of dirty logging, of splits and merges of huge pages, and of NX recovery. */
import type { Alteration, Edits } from './edits.ts';
import { releasedAfter } from './locks.ts';
import { type Event, isShared, levelOf, NoPlace, type Trace, valueOf } from './trace.ts';

const oldOf = (e: Event): bigint => valueOf(e, 'old');
const newOf = (e: Event): bigint => valueOf(e, 'new');
const W = 2n;
const NX = 1n << 63n;

const protects =
  (trace: Trace) =>
  (e: Event): boolean =>
    trace.isLeaf(newOf(e), levelOf(e)) &&
    (oldOf(e) & W) !== 0n &&
    (newOf(e) & W) === 0n &&
    trace.previous(e, ({ name }) => !/chg|spte_changed|rl|ru/.test(name)).name === 'wrprot_slot';

/** Drops every flush of a task between two of its events. */
function dropFlushes(edits: Edits, from: Event, to: Event): void {
  for (let e = from; ;) {
    e = edits.trace.next(e, ({ name }) => name.startsWith('flush'));
    if (e.at > to.at) return;
    edits.drop(e);
  }
}

const nextHold = (trace: Trace, e: Event): Event =>
  trace.next(e, ({ name, text }) => /^[rw]l_ret$/.test(name) && !text.includes('__cond_resched'));

const PREFILLED = (trace: Trace, from: number): Event => {
  const split = trace.first('kvm_mmu_split_huge_page', from, ({ text }) =>
    / level 2 errno 0/.test(text),
  );
  const gfn = BigInt(`0x${/ gfn (\w+)/.exec(split.text)?.[1] ?? ''}`);
  const seen = new Set<bigint>();
  return trace.first('chg', split.at, (e) => {
    const at = valueOf(e, 'gfn');
    if (levelOf(e) !== 1 || at < gfn || at >= gfn + 512n || seen.has(at)) return false;
    seen.add(at);
    return (
      trace.isLeaf(oldOf(e), 1) &&
      trace.isLeaf(newOf(e), 1) &&
      (newOf(e) & 0xffffffffff000n) === (oldOf(e) & 0xffffffffff000n)
    );
  });
};

export const LOGGING: readonly Alteration[] = [
  {
    what: 'a split fills in another page than the huge leaf mapped',
    rule: 'K13',
    alter: (edits, from) => {
      const change = PREFILLED(edits.trace, from);
      edits.set(change, 'old', oldOf(change) ^ (1n << 14n));
      edits.set(change, 'new', newOf(change) ^ (1n << 14n));
      return edits.lineOf(change);
    },
  },
  {
    what: 'write-protection skips a leaf when logging begins',
    rule: 'K24',
    alter: (edits, from) => {
      const { trace } = edits;
      const ends = (e: Event): Event =>
        trace.next(
          e,
          ({ name, text }) =>
            name === 'flush_slot' || (/^[rw]l_ret$/.test(name) && !text.includes('__cond_resched')),
        );
      // no fault sets W meanwhile, which the altered kernel would not need
      const change = trace.first(
        'chg',
        from,
        (e) =>
          protects(trace)(e) &&
          !trace.lines
            .slice(e.at, ends(e).at)
            .some((line) => line.includes(` gva ${valueOf(e, 'gfn').toString(16)}`)),
      );
      edits.undo(change);
      const next = ends(change);
      return edits.lineOf(next);
    },
  },
  {
    what: 'logging begins without a flush',
    rule: 'K24',
    alter: (edits, from) => {
      const { trace } = edits;
      const began = trace.first(
        'wrprot_slot',
        from,
        (e) => trace.next(e, ({ name }) => /chg|flush_slot/.test(name)).name === 'chg',
      );
      const next = nextHold(trace, releasedAfter(trace, began));
      dropFlushes(edits, began, next);
      return edits.lineOf(next);
    },
  },
  {
    what: 'reading the log skips a leaf that it reports',
    rule: 'K24',
    alter: (edits, from) => {
      const { trace } = edits;
      const change = trace.first(
        'kvm_tdp_mmu_spte_changed',
        from,
        (e) =>
          / old_spte \w+7 new_spte \w+5$/.test(e.text) &&
          trace.previous(e, () => true).name === 'cleardirty_pt',
      );
      edits.drop(change);
      return edits.lineOf(
        trace.next(change, ({ name }) => name === 'cleardirty_pt' || /^[rw]u$/.test(name)),
      );
    },
  },
  {
    what: 'the log is read without a flush',
    rule: 'K24',
    alter: (edits, from) => {
      const { trace } = edits;
      const began = trace.first('cleardirty_pt', from);
      const next = nextHold(trace, releasedAfter(trace, began));
      dropFlushes(edits, began, next);
      return edits.lineOf(next);
    },
  },
  {
    what: 'a fault maps a writable huge page in a logged slot',
    rule: 'K24',
    whole: true,
    elsewhere: 'linux-7.3.4-b-dirty-log-toggle-2m',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        // a slot that is logged again later, as if logging had never ended
        const read = trace.first('cleardirty_pt', at);
        at = read.at + 1;
        const began = trace.previous(read, ({ name }) => name === 'wrprot_slot');
        const [base, n] = [valueOf(began, 'base'), valueOf(began, 'n')];
        const ended = trace
          .all('recover_slot')
          .findLast((e) => e.at < began.at && valueOf(e, 'base') === base);
        const before = trace
          .all('wrprot_slot')
          .findLast((e) => e.at < began.at && valueOf(e, 'base') === base);
        if (ended === undefined || before === undefined) continue;
        const change = trace
          .all('chg')
          .find(
            (e) =>
              e.at > before.at &&
              e.at < began.at &&
              valueOf(e, 'gfn') >= base &&
              valueOf(e, 'gfn') < base + n &&
              levelOf(e) === 2 &&
              trace.isLeaf(newOf(e), 2) &&
              (newOf(e) & W) !== 0n &&
              trace.previous(e, ({ name }) => !/chg|spte_ch|request/.test(name)).name === 'map',
          );
        if (change === undefined) continue;
        edits.drop(ended, began);
        return edits.lineOf(change);
      }
    },
  },
  {
    what: 'NX recovery zaps another table than the one it selected',
    rule: 'K18',
    alter: (edits, from) => {
      const { trace } = edits;
      const recovery = trace.first('nxzap', from, (e) => trace.next(e, () => true).name === 'chg');
      edits.set(recovery, 'spt', valueOf(recovery, 'spt') ^ 0x40_000n);
      return edits.lineOf(trace.next(recovery, ({ name }) => name === 'chg'));
    },
  },
  {
    what: 'NX recovery does not flush',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      const recovery = trace.first('nxzap', from, (e) => trace.next(e, () => true).name === 'chg');
      const released = trace.next(recovery, ({ name }) => name === 'ru' || name === 'wu');
      dropFlushes(edits, recovery, released);
      return edits.lineOf(released);
    },
  },
  {
    what: 'a collapse into huge pages does not flush',
    rule: 'K25',
    elsewhere: 'linux-7.3.4-c-ee-dirty-log-toggle',
    alter: (edits, from) => {
      const { trace } = edits;
      const began = trace.first(
        'recover_slot',
        from,
        (e) => trace.next(e, ({ name }) => /chg|flush|^[rw]u/.test(name)).name === 'chg',
      );
      const next = nextHold(trace, releasedAfter(trace, began));
      dropFlushes(edits, began, next);
      return edits.lineOf(next);
    },
  },
  {
    what: 'a fault replaces a table by a huge leaf without a flush',
    rule: 'K25',
    alter: (edits, from) => {
      const { trace } = edits;
      const change = trace.first(
        'chg',
        from,
        (e) =>
          isShared(e) &&
          trace.isTable(oldOf(e), levelOf(e)) &&
          trace.isLeaf(newOf(e), levelOf(e)) &&
          trace.previous(e, ({ name }) => !/chg|spte_ch|request/.test(name)).name === 'map',
      );
      const released = releasedAfter(trace, change);
      dropFlushes(edits, change, released);
      return edits.lineOf(released);
    },
  },
  {
    what: 'one huge page is executable while others are not',
    whole: true,
    rule: 'K12',
    alter: (edits, from) => {
      const { trace } = edits;
      const huge = (e: Event): boolean =>
        levelOf(e) === 2 &&
        trace.isLeaf(newOf(e), 2) &&
        (newOf(e) & NX) !== 0n &&
        oldOf(e) === trace.empty;
      trace.first('zap_inval', 0);
      const first = trace.first('chg', from, huge);
      const second = trace.first('chg', first.at + 1, huge);
      const third = trace.first('chg', second.at + 1, huge);
      if (trace.all('inval_roots').some(({ at }) => at > first.at && at < third.at))
        throw new NoPlace('roots become invalid in between');
      edits.set(second, 'new', newOf(second) & ~NX);
      return edits.lineOf(second);
    },
  },
];
