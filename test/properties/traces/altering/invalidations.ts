/** What the primary MMU takes back: zapped, flushed, counted, and kept from coming back meanwhile. */
import type { Alteration, Edits } from './edits.ts';
import { acquiredFor, releasedAfter } from './locks.ts';
import { type Event, hasValue, levelOf, NoPlace, type Trace, valueOf } from './trace.ts';

/** The bit of a root's role that says that it is invalid. */
export const INVALID: Readonly<Record<string, bigint>> = { '6.12': 1n << 11n, '7.3': 1n << 12n };
const FAR = 3000;
const NEAR = 50;

/** A leaf that a notifier takes from a root that is valid, as far as that is told. */
export function zapped(trace: Trace, from: number): Event {
  const isLoss = (e: Event): boolean =>
    levelOf(e) === 1 && trace.isLeaf(valueOf(e, 'old'), 1) && !trace.isPresent(valueOf(e, 'new'));
  return trace.first('chg', from, (e) => {
    if (
      !isLoss(e) ||
      trace.previous(e, ({ name }) => /^(zap_|nxzap|map)/.test(name)).name !== 'zap_leafs'
    )
      return false;
    if (trace.previous(e, ({ name }) => !/chg|spte_changed/.test(name)).name !== 'zap_leafs')
      return false;
    const put = trace.next(e, ({ name }) => name === 'put_root');
    if (hasValue(put, 'role')) return (valueOf(put, 'role') & (INVALID[trace.kernel] ?? 0n)) === 0n;
    // of a VM that was there before, roots have neither names nor a known beginning
    const isWhole = trace.lines
      .slice(0, FAR)
      .some((line) => line.includes('wl_ret: (kvm_page_track_register_notifier'));
    return (
      isWhole &&
      ['inval_roots', 'zap_all'].every(
        (name) => !trace.all(name).some(({ at }) => at < e.at && at > e.at - FAR),
      )
    );
  });
}

const pairOf = (trace: Trace, after: Event, name: string): readonly [Event, Event] => {
  const begin = trace.next(after, (e) => e.name === name);
  return [begin, trace.next(begin, (e) => e.name === `${name}_ret`)];
};

/** The flush of a zap, if it comes before the lock is let go. */
function flushOf(trace: Trace, zap: Event): readonly [Event, Event] {
  const flush = pairOf(trace, zap, 'flush');
  // without any flush nobody knows that they are told of
  trace.last('flush', zap.at);
  if (flush[0].at > releasedAfter(trace, zap).at) throw new NoPlace('the flush comes later');
  return flush;
}

/** From one end of an invalidation on, all sequence numbers of its VM are one less. */
function stuck(edits: Edits, from: number, byFault: boolean): number {
  const { trace } = edits;
  for (let at = from; ;) {
    const end = trace.first('inv_end', at, (e) => valueOf(e, 'seq') > 0n);
    at = end.at + 1;
    const kvm = valueOf(end, 'kvm');
    const later = ['inv_end', 'unmap_gfn_range', 'map'].flatMap((name) =>
      trace.all(name).filter((e) => e.at > end.at && valueOf(e, 'kvm') === kvm),
    );
    const shows = later
      .filter((e) => e.name !== 'map' || isReal(e))
      .toSorted((a, b) => a.at - b.at)[0];
    if (shows === undefined) throw new NoPlace('nothing comes after it');
    if ((shows.name === 'map') !== byFault) continue;
    for (const e of later) {
      const key = e.name === 'map' ? 'mmu_seq' : 'seq';
      if (valueOf(e, key) > 0n) edits.set(e, key, valueOf(e, key) - 1n);
    }
    return edits.lineOf(shows);
  }
}

const isReal = (e: Event): boolean => (valueOf(e, 'pfn') & (0xfffn << 52n)) === 0n;

export const INVALIDATIONS: readonly Alteration[] = [
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
    what: 'a notifier flushes when it has ended',
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
    what: 'the lock is let go in the middle of zapping, and what was zapped not flushed before',
    rule: 'K20',
    alter: (edits, from) => {
      const { trace } = edits;
      const zap = zapped(trace, from);
      const acquired = acquiredFor(trace, zap);
      const [attempt, released] = [
        trace.previous(acquired, ({ name }) => name === 'wl'),
        releasedAfter(trace, zap),
      ];
      const told = edits.tracepointOf(zap);
      flushOf(trace, zap);
      edits.insert(told, released.text);
      edits.insert(told, attempt.text);
      edits.insert(
        told,
        acquired.text.replace(/\(.*<-/, '(__cond_resched_rwlock_write+0x4f/0x70 <-'),
      );
      return edits.lineOf(told, 1);
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
    what: 'a vCPU goes back in without the flush that it was told to make',
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
  {
    what: 'a leaf survives a notifier',
    rule: 'K22',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const zap = zapped(trace, at);
        at = zap.at + 1;
        const end = trace.next(
          zap,
          ({ name, text }) =>
            name === 'inv_end' ||
            (trace.kernel === '6.1' && name === 'wl_ret' && text.includes('invalidate_range_end')),
        );
        // a fault that comes to the leaf before that would show it
        if (end.at - zap.at > NEAR) continue;
        edits.undo(zap);
        return edits.lineOf(end);
      }
    },
  },
  {
    what: 'a leaf under a root that is invalid survives a notifier',
    rule: 'K34',
    elsewhere: 'linux-7.3.4-b-two-vms',
    alter: (edits, from) => {
      const { trace } = edits;
      const invalid = INVALID[trace.kernel] ?? 0n;
      const zap = trace.first('chg', from, (e) => {
        if (
          levelOf(e) !== 1 ||
          !trace.isLeaf(valueOf(e, 'old'), 1) ||
          trace.isPresent(valueOf(e, 'new'))
        )
          return false;
        if (trace.previous(e, ({ name }) => !/chg|spte_changed/.test(name)).name !== 'zap_leafs')
          return false;
        const put = trace.next(e, ({ name }) => name === 'put_root');
        if (!hasValue(put, 'role') || (valueOf(put, 'role') & invalid) === 0n) return false;
        return trace.next(e, ({ name }) => name === 'inv_end').at - e.at < NEAR;
      });
      edits.undo(zap);
      return edits.lineOf(trace.next(zap, ({ name }) => name === 'inv_end'));
    },
  },
  {
    what: 'a stale fault is installed',
    rule: 'K37',
    alter: (edits, from) => {
      const map = edits.trace.first('map', from, (e) => isReal(e) && valueOf(e, 'mmu_seq') > 0n);
      edits.set(map, 'mmu_seq', valueOf(map, 'mmu_seq') - 1n);
      return edits.lineOf(map);
    },
  },
  {
    what: 'a page is mapped while it is invalidated',
    rule: 'K37',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const zap = zapped(trace, at);
        at = zap.at + 1;
        const [released, gfn] = [releasedAfter(trace, zap), valueOf(zap, 'gfn')];
        const kvm = valueOf(zap, 'kvm');
        const map = trace.last(
          'map',
          released.at + 2000,
          (e) => !hasValue(e, 'gfn') || valueOf(e, 'kvm') === kvm,
        );
        const change = trace.next(map, ({ name }) => name === 'chg' || name === 'map_ret');
        if (
          map.at < released.at ||
          change.name !== 'chg' ||
          levelOf(change) !== 1 ||
          !trace.isLeaf(valueOf(change, 'new'), 1) ||
          valueOf(change, 'kvm') !== kvm
        )
          continue;
        const end = trace.next(
          released,
          ({ name }) => name === 'inv_end' || name === 'mn_end' || name === 'zap_leafs',
        );
        if (end.name === 'zap_leafs') continue;
        // the end of the invalidation comes later than that
        const told = edits.tracepointOf(change);
        const texts = trace.lines
          .slice(map.at, told.at + 1)
          .filter((line) => line.includes(map.task));
        let [shown, told37] = [0, 0];
        for (const line of [
          trace.previous(map, ({ name }) => name === 'rl_ret').text,
          ...texts,
          trace.next(told, ({ name }) => name === 'ru').text,
        ]) {
          edits.insert(
            released,
            line.replaceAll(/\bgfn( |=0x)\w+/g, (_, how: string) => `gfn${how}${gfn.toString(16)}`),
          );
          shown++;
          if (line.includes(hasValue(map, 'gfn') ? ' map: ' : ' chg: ')) told37 = shown;
        }
        return edits.lineOf(released, told37);
      }
    },
  },
  {
    what: 'the sequence number is not advanced, as the next invalidation shows',
    rule: 'K38',
    alter: (edits, from) => stuck(edits, from, false),
  },
  {
    what: 'the sequence number is not advanced, as the next fault shows',
    rule: 'K37',
    alter: (edits, from) => stuck(edits, from, true),
  },
  {
    what: 'fewer invalidations are said to be under way than there are',
    rule: 'K38',
    alter: (edits, from) => {
      const end = edits.trace.first('inv_end', from, (e) => valueOf(e, 'inprog') > 0n);
      edits.set(end, 'inprog', valueOf(end, 'inprog') - 1n);
      return edits.lineOf(end);
    },
  },
  {
    what: 'an invalidation ends without the lock',
    rule: 'K38',
    alter: (edits, from) => {
      const end = edits.trace.first('inv_end', from);
      edits.drop(edits.trace.previous(end, ({ name }) => name === 'wl_ret'));
      return edits.lineOf(end);
    },
  },
  {
    what: 'a range is taken away and no invalidation counts',
    rule: 'K39',
    alter: (edits: Edits, from) => {
      const range = edits.trace.first('unmap_gfn_range', from, (e) => valueOf(e, 'inprog') === 1n);
      edits.set(range, 'inprog', 0);
      return edits.lineOf(range);
    },
  },
];
