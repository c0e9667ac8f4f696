/** Events of the life of tables: linked, unlinked, gone through, freed. */
import { hasPlace, hasValue, levelOf, NoPlace, valueOf, type Event, type Trace } from './trace.ts';

export const FRAME = 0xf_ffff_ffff_f000n;
export const DIRECT_MAP = 0xffff_8880_0000_0000n;

export const oldOf = (e: Event): bigint => valueOf(e, 'old');
export const newOf = (e: Event): bigint => valueOf(e, 'new');

export const links =
  (trace: Trace) =>
  (e: Event): boolean =>
    levelOf(e) === 2 && oldOf(e) === trace.empty && trace.isTable(newOf(e), 2);
const unlinks =
  (trace: Trace) =>
  (e: Event): boolean =>
    trace.isTable(oldOf(e), levelOf(e)) && !trace.isTable(newOf(e), levelOf(e));

/** Event that frees the table that an entry pointed to. */
export function freed(trace: Trace, value: bigint, from: number): Event {
  const page = DIRECT_MAP + (value & FRAME);
  return trace.first('free_rcu', from, (e) => valueOf(e, 'spt') === page);
}

/** Events that unlink and free the first table from a line on, of those that match. */
export function removed(
  trace: Trace,
  from: number,
  matches: (unlinked: Event, free: Event) => boolean = () => true,
): [Event, Event] {
  for (let at = from; ;) {
    const unlinked = trace.first('chg', at, (e) => unlinks(trace)(e) && levelOf(e) === 2);
    at = unlinked.at + 1;
    try {
      const free = freed(trace, oldOf(unlinked), at);
      if (matches(unlinked, free)) return [unlinked, free];
    } catch (error) {
      if (!(error instanceof NoPlace)) throw error;
    }
  }
}

/** First change of an entry of a table after the table was unlinked. */
export const child = (trace: Trace, unlinked: Event, matches: (e: Event) => boolean): Event => {
  const found = trace.next(unlinked, (e) => e.name === 'chg' && levelOf(e) === 1 && matches(e));
  if (
    hasPlace(() =>
      trace.next(unlinked, (e) => e.at < found.at && e.name === 'chg' && levelOf(e) > 1),
    )
  )
    throw new NoPlace('the change is in another table');
  const isOther =
    hasValue(found, 'spt') && valueOf(found, 'spt') !== DIRECT_MAP + (oldOf(unlinked) & FRAME);
  if (isOther || valueOf(found, 'gfn') >> 9n !== valueOf(unlinked, 'gfn') >> 9n)
    throw new NoPlace('the change is in another table');
  return found;
};
