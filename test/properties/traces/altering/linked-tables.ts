/** Alterations of how tables are linked: twice, too early, or in the wrong place. */
import type { Alteration, Edits } from './edits.ts';
import { DIRECT_MAP, FRAME, links, newOf, oldOf, removed } from './table-events.ts';
import { NoPlace, valueOf, type Event } from './trace.ts';

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

export const LINKED_TABLES: readonly Alteration[] = [
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
      if (gone !== undefined && gone.at < second.at)
        throw new NoPlace('the first table is unlinked before');
      edits.set(second, 'new', newOf(first));
      return edits.lineOf(second);
    },
  },
  {
    what: 'a table that was not initialised is linked',
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
    what: 'a table that was initialised for another level is linked',
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
    what: 'a table that was initialised for other GFNs is linked',
    rule: 'K13',
    alter: (edits, from) => {
      // other kernels show the place of a table only when it is linked
      edits.trace.first('init_sp', 0);
      return linkedAs(edits, from, (e) => ({ gfn: valueOf(e, 'gfn') + 512n }));
    },
  },
  {
    what: 'a table that was unlinked is linked again',
    rule: 'K13',
    alter: (edits, from) => {
      const { trace } = edits;
      // in other kernels, its page may have become a new table
      trace.first('init_sp', 0);
      const [unlinked, free] = removed(trace, from);
      const linked = trace.first('chg', unlinked.at + 1, links(trace));
      if (linked.at > free.at) throw new NoPlace('the table is freed before that');
      edits.set(linked, 'new', oldOf(unlinked));
      return edits.lineOf(linked);
    },
  },
  {
    what: 'a table replaces one that was linked meanwhile',
    rule: 'K2',
    alter: (edits, from) => {
      const { trace } = edits;
      const linked = trace.first('chg', from, links(trace));
      edits.insert(linked, edits.like(linked, { new: newOf(linked) ^ (1n << 30n) }));
      return edits.lineOf(linked, 1);
    },
  },
];
