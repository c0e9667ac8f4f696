/** The life of tables: linked, unlinked, emptied, freed. */
import type { Alteration, Edits } from './edits.ts';
import { acquiredFor, releasedAfter } from './locks.ts';
import {
  type Event,
  hasPlace,
  hasValue,
  isShared,
  levelOf,
  NoPlace,
  type Trace,
  valueOf,
} from './trace.ts';

const FRAME = 0xf_ffff_ffff_f000n;
const DIRECT_MAP = 0xffff_8880_0000_0000n;

const oldOf = (e: Event): bigint => valueOf(e, 'old');
const newOf = (e: Event): bigint => valueOf(e, 'new');

const links =
  (trace: Trace) =>
  (e: Event): boolean =>
    levelOf(e) === 2 && oldOf(e) === trace.empty && trace.isTable(newOf(e), 2);
const unlinks =
  (trace: Trace) =>
  (e: Event): boolean =>
    trace.isTable(oldOf(e), levelOf(e)) && !trace.isTable(newOf(e), levelOf(e));

/** Where the table that an entry pointed to is freed. */
export function freed(trace: Trace, value: bigint, from: number): Event {
  const page = DIRECT_MAP + (value & FRAME);
  return trace.first('free_rcu', from, (e) => valueOf(e, 'spt') === page);
}

/**
 * The table of the first free from a line on that was unlinked under that lock: where it was, and
 * where it is freed.
 */
function removed(
  trace: Trace,
  from: number,
  suits: (unlinked: Event, free: Event) => boolean = () => true,
): [Event, Event] {
  for (let at = from; ;) {
    const unlinked = trace.first('chg', at, (e) => unlinks(trace)(e) && levelOf(e) === 2);
    at = unlinked.at + 1;
    try {
      const free = freed(trace, oldOf(unlinked), at);
      if (suits(unlinked, free)) return [unlinked, free];
    } catch (error) {
      if (!(error instanceof NoPlace)) throw error;
    }
  }
}

/** The first change in a table, when it is gone through. */
const child = (trace: Trace, unlinked: Event, suits: (e: Event) => boolean): Event => {
  const found = trace.next(unlinked, (e) => e.name === 'chg' && levelOf(e) === 1 && suits(e));
  if (
    hasPlace(() =>
      trace.next(unlinked, (e) => e.at < found.at && e.name === 'chg' && levelOf(e) > 1),
    )
  )
    throw new NoPlace('it is of another table');
  const isOther =
    hasValue(found, 'spt') && valueOf(found, 'spt') !== DIRECT_MAP + (oldOf(unlinked) & FRAME);
  if (isOther || valueOf(found, 'gfn') >> 9n !== valueOf(unlinked, 'gfn') >> 9n)
    throw new NoPlace('it is of another table');
  return found;
};

function linkedAs(
  edits: Edits,
  from: number,
  by: (e: Event) => Readonly<Record<string, bigint>>,
): number {
  const { trace } = edits;
  const linked = trace.first('chg', from, links(trace));
  for (const [key, value] of Object.entries(by(linked))) edits.set(linked, key, value);
  return edits.lineOf(linked);
}

export const TABLES: readonly Alteration[] = [
  {
    what: 'a table is linked a second time',
    rule: 'K13',
    alter: (edits, from) => {
      const { trace } = edits;
      const first = trace.first('chg', from, links(trace));
      const second = trace.first(
        'chg',
        first.at + 1,
        (e) => links(trace)(e) && newOf(e) !== newOf(first),
      );
      const gone = trace.all('chg').find((e) => e.at > first.at && oldOf(e) === newOf(first));
      if (gone !== undefined && gone.at < second.at) throw new NoPlace('it is gone');
      edits.set(second, 'new', newOf(first));
      return edits.lineOf(second);
    },
  },
  {
    what: 'a table is linked that nobody initialised',
    rule: 'K13',
    alter: (edits, from) => {
      const { trace } = edits;
      const linked = trace.first('chg', from, links(trace));
      const page = DIRECT_MAP + (newOf(linked) & FRAME);
      edits.drop(trace.last('init_sp', linked.at, (e) => valueOf(e, 'spt') === page));
      return edits.lineOf(linked);
    },
  },
  {
    what: 'a table is linked that was initialised for another level',
    rule: 'K13',
    alter: (edits, from) => {
      const { trace } = edits;
      const linked = trace.first('chg', from, links(trace));
      const page = DIRECT_MAP + (newOf(linked) & FRAME);
      const init = trace.last('init_sp', linked.at, (e) => valueOf(e, 'spt') === page);
      edits.set(init, 'role', valueOf(init, 'role') + 1n);
      return edits.lineOf(linked);
    },
  },
  {
    what: 'a table is linked that was initialised for other GFNs',
    rule: 'K13',
    alter: (edits, from) => {
      // elsewhere, nothing tells what a table is for before it is linked
      edits.trace.first('init_sp', 0);
      return linkedAs(edits, from, (e) => ({ gfn: valueOf(e, 'gfn') + 512n }));
    },
  },
  {
    what: 'a table is linked again that was unlinked',
    rule: 'K13',
    alter: (edits, from) => {
      const { trace } = edits;
      // elsewhere, its page may have become a new one
      trace.first('init_sp', 0);
      const [unlinked, free] = removed(trace, from);
      const linked = trace.first('chg', unlinked.at + 1, links(trace));
      if (linked.at > free.at) throw new NoPlace('it is freed before that');
      edits.set(linked, 'new', oldOf(unlinked));
      return edits.lineOf(linked);
    },
  },
  {
    what: 'a table is linked where another one was linked meanwhile',
    rule: 'K2',
    alter: (edits, from) => {
      const { trace } = edits;
      const linked = trace.first('chg', from, links(trace));
      edits.insert(linked, edits.like(linked, { new: newOf(linked) ^ (1n << 30n) }));
      return edits.lineOf(linked, 1);
    },
  },
  {
    what: 'an entry of a table that was unlinked is emptied, not frozen',
    rule: 'K16',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(
        trace,
        from,
        (e) => isShared(e) && hasPlace(() => child(trace, e, (c) => trace.isLeaf(oldOf(c), 1))),
      );
      edits.set(
        child(trace, unlinked, (c) => trace.isLeaf(oldOf(c), 1)),
        'new',
        trace.empty,
      );
      return edits.lineOf(free);
    },
  },
  {
    what: 'a table is freed while an entry points to it',
    rule: 'K5',
    alter: (edits, from) => {
      const { trace } = edits;
      const linked = trace.first('chg', from, links(trace));
      const free = freed(trace, newOf(linked), linked.at);
      edits.drop(free);
      edits.insert(linked, free.text);
      return edits.lineOf(linked, 1);
    },
  },
  {
    what: 'a table is freed before its remover is through',
    rule: 'K5',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(
        trace,
        from,
        (e, f) => f.task === 'interrupt' && releasedAfter(trace, e).at < f.at,
      );
      edits.drop(free);
      edits.insert(unlinked, free.text);
      return edits.lineOf(unlinked, 1);
    },
  },
  {
    what: 'a table is freed by its remover, at once',
    rule: 'K5',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(trace, from, (e, f) => releasedAfter(trace, e).at < f.at);
      edits.drop(free);
      const last = trace.previous(
        releasedAfter(trace, unlinked),
        ({ name }) => name === 'kvm_tdp_mmu_spte_changed',
      );
      edits.insert(
        last,
        last.text.replace(/: kvm_tdp_mmu_spte_changed: .*/, '') +
          free.text.replace(/.*(?=: free_rcu: )/, ''),
      );
      return edits.lineOf(last, 1);
    },
  },
  {
    what: 'a table is freed twice',
    whole: true,
    rule: 'K5',
    alter: (edits, from) => {
      const { trace } = edits;
      // it tells of roots where nothing else does
      if (trace.kernel === '6.1') trace.first('zap_pass', 0);
      const [, free] = removed(trace, from);
      edits.insert(free, free.text);
      return edits.lineOf(free, 1);
    },
  },
  {
    what: 'a leaf is written to a table that was freed',
    rule: 'K5',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(trace, from);
      const spt = valueOf(free, 'spt');
      const map = trace.first(
        'map',
        free.at,
        (e) => trace.next(e, ({ name }) => name === 'chg' || name === 'ru').name === 'chg',
      );
      const change = trace.next(map, ({ name }) => name === 'chg');
      if (
        trace
          .all('init_sp')
          .some((e) => e.at > free.at && e.at < change.at && valueOf(e, 'spt') === spt)
      )
        throw new NoPlace('it is a table again');
      edits.insert(
        change,
        edits.like(change, {
          spt,
          gfn: valueOf(unlinked, 'gfn'),
          level: 1,
          old: trace.empty,
          new: 0x1234e67n,
        }),
      );
      return edits.lineOf(change, 1);
    },
  },
  {
    what: 'a leaf is written to a table that was unlinked, by one who comes later',
    rule: 'K16',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(
        trace,
        from,
        (e, f) => isShared(e) && f.at - releasedAfter(trace, e).at > 100,
      );
      const done = releasedAfter(trace, unlinked);
      const later = trace.first(
        'map',
        done.at,
        (e) =>
          acquiredFor(
            trace,
            trace.next(e, ({ name }) => name === 'chg'),
          ).at > done.at,
      );
      const spt = valueOf(
        child(trace, unlinked, () => true),
        'spt',
      );
      const change = trace.next(
        later,
        (e) => e.name === 'chg' && levelOf(e) === 1 && trace.isLeaf(newOf(e), 1),
      );
      if (change.at > free.at) throw new NoPlace('it is freed before that');
      edits.insert(
        change,
        edits.like(change, { spt, gfn: valueOf(unlinked, 'gfn'), old: trace.frozen }),
      );
      return edits.lineOf(change, 1);
    },
  },
  {
    what: 'a leaf is left in a table that is freed',
    rule: 'K16',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(trace, from, (e) =>
        hasPlace(() => child(trace, e, (c) => trace.isLeaf(oldOf(c), 1))),
      );
      edits.undo(child(trace, unlinked, (c) => trace.isLeaf(oldOf(c), 1)));
      return edits.lineOf(free);
    },
  },
  {
    what: 'a table that was unlinked is never freed',
    whole: true,
    rule: 'K35',
    alter: (edits, from) => {
      const { trace } = edits;
      const [unlinked, free] = removed(
        trace,
        from,
        (_, f) =>
          !hasPlace(() =>
            trace.first('init_sp', f.at, (i) => valueOf(i, 'spt') === valueOf(f, 'spt')),
          ),
      );
      edits.drop(free);
      trace.first('vm_init', 0);
      const root = trace.previous(unlinked, ({ name }) => name === 'zap_root');
      return edits.lineOf(
        trace.first('free_rcu', unlinked.at, (e) => valueOf(e, 'spt') === valueOf(root, 'spt')),
      );
    },
  },
  {
    what: 'the page of a table that nobody freed is used again',
    rule: 'K5',
    whole: true,
    elsewhere: 'linux-7.3.4-c-ee-dirty-log-toggle',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const [, free] = removed(trace, at);
        at = free.at + 1;
        const again = trace
          .all('init_sp')
          .find((e) => e.at > free.at && valueOf(e, 'spt') === valueOf(free, 'spt'));
        if (
          again === undefined ||
          trace.all('vm_uninit').some((e) => e.at > free.at && e.at < again.at)
        )
          continue;
        edits.drop(free);
        return edits.lineOf(again);
      }
    },
  },
];
