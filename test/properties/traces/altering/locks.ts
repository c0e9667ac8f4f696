/** Who holds mmu_lock, and how: what a kernel that gets it wrong would tell. */
import type { Alteration } from './edits.ts';
import { type Event, hasValue, isShared, levelOf, type Trace, valueOf } from './trace.ts';

/** The lock that an event is about; 6.1 says it only where it is asked for. */
export const lockOf = (trace: Trace, e: Event): bigint =>
  valueOf(
    hasValue(e, 'lock') ? e : trace.previous(e, ({ name }) => name === 'rl' || name === 'wl'),
    'lock',
  );

const isOf =
  (trace: Trace, lock: bigint, names: readonly string[]) =>
  (e: Event): boolean =>
    names.includes(e.name) && lockOf(trace, e) === lock;

/** The lock of the VM that a change is of was acquired here for it. */
export const acquiredFor = (trace: Trace, change: Event): Event =>
  trace.previous(change, isOf(trace, valueOf(change, 'kvm'), ['rl_ret', 'wl_ret']));

/** Where it is let go of. */
export const releasedAfter = (trace: Trace, e: Event): Event =>
  trace.next(e, isOf(trace, valueOf(e, 'kvm'), ['ru', 'wu']));

const isVm = (trace: Trace, lock: bigint): boolean =>
  valueOf(trace.first('chg', 0), 'kvm') === lock;

const mapsPage = (e: Event): boolean => levelOf(e) === 1 && isShared(e) && /e67\b/.test(e.text);

export const LOCKS: readonly Alteration[] = [
  {
    what: 'an entry is said to be changed with the lock held for write, which is held for read',
    rule: 'K1',
    alter: (edits, from) => {
      const change = edits.trace.first('chg', from, mapsPage);
      edits.set(change, 'shared', 0);
      return edits.lineOf(change);
    },
  },
  {
    what: 'a notifier zaps with the lock held for read',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      const change = trace.first(
        'chg',
        from,
        (e) => !isShared(e) && levelOf(e) === 1 && valueOf(e, 'new') === trace.empty,
      );
      const acquired = acquiredFor(trace, change);
      edits.rewrite(
        trace.previous(acquired, ({ name }) => name === 'wl'),
        / wl: /,
        ' rl: ',
      );
      edits.rewrite(acquired, / wl_ret: /, ' rl_ret: ');
      return edits.lineOf(trace.next(acquired, ({ name }) => name === 'chg'));
    },
  },
  {
    what: 'an entry is mapped without the lock',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      const change = trace.first('chg', from, mapsPage);
      const acquired = acquiredFor(trace, change);
      edits.drop(acquired);
      return edits.lineOf(trace.next(acquired, ({ name }) => name === 'chg'));
    },
  },
  {
    what: 'a notifier zaps without the lock',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = trace.first('zap_leafs', from, (e) => trace.next(e, () => true).name === 'chg');
      edits.drop(acquiredFor(trace, zap));
      return edits.lineOf(trace.next(zap, () => true));
    },
  },
  {
    what: 'a writer gets the lock while another has it',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = trace.first('chg', from).at; ;) {
        const acquired = trace.first('wl_ret', at, (e) => isVm(trace, lockOf(trace, e)));
        at = acquired.at + 1;
        const lock = lockOf(trace, acquired);
        const released = trace.next(acquired, isOf(trace, lock, ['wu']));
        const next = ['rl_ret', 'wl_ret']
          .flatMap((name) =>
            trace
              .all(name)
              .filter((e) => e.at > released.at && lockOf(trace, e) === lock)
              .slice(0, 1),
          )
          .toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined || next.task === acquired.task) continue;
        edits.drop(released);
        return edits.lineOf(next);
      }
    },
  },
  {
    what: 'a reader is inside still when a writer gets the lock',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      // a writer, and the reader who let go of the lock last before that
      for (let at = trace.first('chg', from).at; ;) {
        const writer = trace.first('wl_ret', at, (e) => isVm(trace, lockOf(trace, e)));
        const lock = lockOf(trace, writer);
        const reader = trace.last('ru', writer.at, isOf(trace, lock, ['ru']));
        at = writer.at + 1;
        if (reader.task === writer.task || writer.at - reader.at > 40) continue;
        if (trace.next(reader, isOf(trace, lock, ['rl_ret', 'wl_ret'])).at < writer.at) continue;
        edits.drop(reader);
        return edits.lineOf(writer);
      }
    },
  },
];
