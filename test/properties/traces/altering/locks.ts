/** Alterations of lock events: how mmu_lock is held, and by which task. */
import type { Alteration } from './edits.ts';
import { type Event, hasValue, isShared, levelOf, type Trace, valueOf } from './trace.ts';

/** Address of the lock of an event. Linux 6.1 has it only in the event of the attempt. */
const lockOf = (trace: Trace, e: Event): bigint =>
  valueOf(
    hasValue(e, 'lock') ? e : trace.previous(e, ({ name }) => name === 'rl' || name === 'wl'),
    'lock',
  );

const isOf =
  (trace: Trace, lock: bigint, names: readonly string[]) =>
  (e: Event): boolean =>
    names.includes(e.name) && lockOf(trace, e) === lock;

/** Event by which the task of a change acquired the mmu_lock of its VM. */
export const acquiredFor = (trace: Trace, change: Event): Event =>
  trace.previous(change, isOf(trace, valueOf(change, 'kvm'), ['rl_ret', 'wl_ret']));

/** Event by which the task releases mmu_lock. */
export const releasedAfter = (trace: Trace, e: Event): Event =>
  trace.next(e, isOf(trace, valueOf(e, 'kvm'), ['ru', 'wu']));

const isVm = (trace: Trace, lock: bigint): boolean =>
  valueOf(trace.first('chg', 0), 'kvm') === lock;

const mapsPage = (e: Event): boolean => levelOf(e) === 1 && isShared(e) && /e67\b/.test(e.text);

export const LOCKS: readonly Alteration[] = [
  {
    what: 'an SPTE changes as if under mmu_lock held for write, which is held for read',
    rule: 'K1',
    alter: (edits, from) => {
      const change = edits.trace.first('chg', from, mapsPage);
      edits.set(change, 'shared', 0);
      return edits.lineOf(change);
    },
  },
  {
    what: 'a notifier zaps with mmu_lock held for read',
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
    what: 'a fault installs an SPTE without mmu_lock',
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
    what: 'a notifier zaps without mmu_lock',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = trace.first('zap_leafs', from, (e) => trace.next(e, () => true).name === 'chg');
      edits.drop(acquiredFor(trace, zap));
      return edits.lineOf(trace.next(zap, () => true));
    },
  },
  {
    what: 'a task acquires mmu_lock for write while another holds it for write',
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
    what: 'a task acquires mmu_lock for write while another holds it for read',
    rule: 'K1',
    alter: (edits, from) => {
      const { trace } = edits;
      // a writer, and the reader that released the lock last before it
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
