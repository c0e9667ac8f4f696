/** Alterations of TLB flushes after a zap: missing, too early, too late, not waited for. */
import type { Alteration } from './edits.ts';
import { acquiredFor, releasedAfter } from './locks.ts';
import { NoPlace, valueOf, type Event, type Trace } from './trace.ts';
import { zapped } from './zaps.ts';

const pairOf = (trace: Trace, after: Event, name: string): readonly [Event, Event] => {
  const begin = trace.next(after, (e) => e.name === name);
  return [begin, trace.next(begin, (e) => e.name === `${name}_ret`)];
};

/** Events of the flush of a zap, if it comes before mmu_lock is released. */
function flushOf(trace: Trace, zap: Event): readonly [Event, Event] {
  const flush = pairOf(trace, zap, 'flush');
  // without an earlier flush, the judge cannot know that flushes are probed
  trace.last('flush', zap.at);
  if (flush[0].at > releasedAfter(trace, zap).at) throw new NoPlace('the flush comes later');
  return flush;
}

export const FLUSHES: readonly Alteration[] = [
  {
    what: 'a notifier does not flush',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = zapped(trace, trace.first('flush', from).at);
      edits.drop(...flushOf(trace, zap));
      return edits.lineOf(releasedAfter(trace, zap));
    },
  },
  {
    what: 'a notifier flushes before it zaps',
    rule: 'K20',
    elsewhere: 'linux-7.3.4-remap-compact',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = zapped(trace, trace.first('flush', from).at);
      const acquired = acquiredFor(trace, zap);
      const [flush, returned] = flushOf(trace, zap);
      if (
        trace
          .all('kvm_exit')
          .some((e) => e.at > acquired.at && e.at < returned.at + 300 && e.task !== zap.task)
      )
        throw new NoPlace('a vCPU is in the guest');
      edits.drop(flush, returned);
      edits.insert(acquired, flush.text);
      edits.insert(acquired, returned.text);
      return edits.lineOf(releasedAfter(trace, zap));
    },
  },
  {
    what: 'a notifier flushes after it has ended',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = zapped(trace, trace.first('flush', from).at);
      const released = releasedAfter(trace, zap);
      const later = trace.next(released, ({ name }) => name === 'wu' || name === 'mn_end');
      const [flush, returned] = flushOf(trace, zap);
      edits.drop(flush, returned);
      edits.insert(later, flush.text);
      edits.insert(later, returned.text);
      return edits.lineOf(released);
    },
  },
  {
    what: 'a zap yields mmu_lock without flushing what it has zapped',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = zapped(trace, from);
      const acquired = acquiredFor(trace, zap);
      const [attempt, released] = [
        trace.previous(acquired, ({ name }) => name === 'wl'),
        releasedAfter(trace, zap),
      ];
      const tracepoint = edits.tracepointOf(zap);
      flushOf(trace, zap);
      edits.insert(tracepoint, released.text);
      edits.insert(tracepoint, attempt.text);
      edits.insert(
        tracepoint,
        acquired.text.replace(/\(.*<-/, '(__cond_resched_rwlock_write+0x4f/0x70 <-'),
      );
      return edits.lineOf(tracepoint, 1);
    },
  },
  {
    what: 'a flush does not wait for a vCPU that is in the guest',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const flush = trace.first('flush', at);
        at = flush.at + 1;
        const exit = trace.last('kvm_exit', flush.at, (e) => e.task !== flush.task);
        const fault = trace.previous(flush, ({ name }) => name === 'map' || name === 'wl_ret');
        if (flush.at - exit.at > 200 || fault.at < exit.at - 5000) continue;
        const next = trace.next(
          exit,
          ({ name }) => name === 'kvm_entry' || name === 'kvm_exit' || name === 'map',
        );
        const known = trace.previous(exit, ({ name }) => name === 'map' || name === 'fpf');
        const returned = trace.next(flush, ({ name }) => name === 'flush_ret');
        if (trace.all('flush_ret').some((e) => e.at > exit.at && e.at < returned.at)) continue;
        if (next.at < returned.at || valueOf(known, 'kvm') !== valueOf(flush, 'kvm')) continue;
        edits.drop(exit);
        return edits.lineOf(returned);
      }
    },
  },
  {
    what: 'a vCPU re-enters the guest without the flush that was requested',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const returned = trace.first('flush_ret', at);
        at = returned.at + 1;
        const flush = trace.previous(returned, ({ name }) => name === 'flush');
        const own = trace.first('hwflush', returned.at);
        const entry = trace.next(own, ({ name }) => name === 'kvm_entry');
        const before = trace.previous(
          own,
          ({ name }) => name === 'kvm_entry' || name === 'hwflush',
        );
        const known = trace.previous(own, ({ name }) => name === 'map' || name === 'fpf');
        if (
          before.name === 'hwflush' ||
          before.at > flush.at ||
          trace
            .all('loadmmu')
            .some((l) => l.task === own.task && l.at > flush.at && l.at < entry.at)
        )
          continue;
        if (valueOf(known, 'kvm') !== valueOf(flush, 'kvm')) continue;
        edits.drop(own);
        return edits.lineOf(entry);
      }
    },
  },
];
