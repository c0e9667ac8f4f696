/** Alterations of how tables are emptied and freed after they were unlinked. */
import type { Alteration } from './edits.ts';
import { acquiredFor, releasedAfter } from './locks.ts';
import { child, freed, links, newOf, oldOf, removed } from './table-events.ts';
import { hasPlace, isShared, levelOf, NoPlace, valueOf } from './trace.ts';

export const FREED_TABLES: readonly Alteration[] = [
  {
    what: 'an entry of an unlinked table is emptied instead of frozen',
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
    what: 'a table is freed while the task that unlinked it still holds mmu_lock',
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
    what: 'the task that unlinks a table frees it at once',
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
      // the only event of roots in this kernel
      if (trace.kernel === '6.1') trace.first('zap_pass', 0);
      const [, free] = removed(trace, from);
      edits.insert(free, free.text);
      return edits.lineOf(free, 1);
    },
  },
  {
    what: 'a leaf is written to a freed table',
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
        throw new NoPlace('the page is a table again');
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
    what: 'a task that acquires mmu_lock later writes a leaf to an unlinked table',
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
      if (change.at > free.at) throw new NoPlace('the table is freed before that');
      edits.insert(
        change,
        edits.like(change, { spt, gfn: valueOf(unlinked, 'gfn'), old: trace.frozen }),
      );
      return edits.lineOf(change, 1);
    },
  },
  {
    what: 'a table is freed with a leaf in it',
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
    what: 'an unlinked table is never freed',
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
    what: 'the page of a table is reused without having been freed',
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
