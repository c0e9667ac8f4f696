/** Alterations of invalidations: what they zap and count, and faults that race with them. */
import type { Alteration, Edits } from './edits.ts';
import { releasedAfter } from './locks.ts';
import { hasValue, levelOf, NoPlace, valueOf, type Event } from './trace.ts';
import { INVALID, zapped } from './zaps.ts';

const NEAR = 50;

const isReal = (e: Event): boolean => (valueOf(e, 'pfn') & (0xfffn << 52n)) === 0n;

/** Decrements every sequence number of a VM after one end of an invalidation. */
function skipIncrement(edits: Edits, from: number, byFault: boolean): number {
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
    if (shows === undefined) throw new NoPlace('no later event has the number');
    if ((shows.name === 'map') !== byFault) continue;
    for (const e of later) {
      const key = e.name === 'map' ? 'mmu_seq' : 'seq';
      if (valueOf(e, key) > 0n) edits.set(e, key, valueOf(e, key) - 1n);
    }
    return edits.lineOf(shows);
  }
}

export const INVALIDATIONS: readonly Alteration[] = [
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
        // a fault on the leaf before the end would show it earlier
        if (end.at - zap.at > NEAR) continue;
        edits.undo(zap);
        return edits.lineOf(end);
      }
    },
  },
  {
    what: 'a leaf under an invalid root survives a notifier',
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
    what: 'a notifier walks the roots of one address space for the slots of two',
    rule: 'K22',
    elsewhere: 'linux-7.3.4-d-smm-zap',
    alter: (edits, from) => {
      const { trace } = edits;
      for (let at = from; ;) {
        const walk = trace.first('zap_leafs', at);
        at = walk.at + 1;
        const second = trace.next(walk, ({ name }) => name === 'zap_leafs' || name === 'inv_end');
        if (second.name === 'inv_end' || valueOf(second, 'start') !== valueOf(walk, 'start'))
          continue;
        const [ends, end] = ['zap_leafs_ret', 'inv_end'].map((wanted) =>
          trace.next(second, ({ name }) => name === wanted),
        );
        const zaps = trace
          .all('chg')
          .filter((e) => e.task === walk.task && e.at > second.at && e.at < (ends?.at ?? 0));
        if (end === undefined || zaps.length === 0 || end.at - second.at > NEAR) continue;
        for (const zap of zaps) edits.undo(zap);
        edits.set(second, 'root', valueOf(walk, 'root'));
        return edits.lineOf(end);
      }
    },
  },
  {
    what: 'a stale fault installs its leaf',
    rule: 'K37',
    alter: (edits, from) => {
      const map = edits.trace.first('map', from, (e) => isReal(e) && valueOf(e, 'mmu_seq') > 0n);
      edits.set(map, 'mmu_seq', valueOf(map, 'mmu_seq') - 1n);
      return edits.lineOf(map);
    },
  },
  {
    what: 'a GFN is mapped while it is being invalidated',
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
        // the fault, with its lock, is moved to before the end of the invalidation
        const tracepoint = edits.tracepointOf(change);
        const texts = trace.lines
          .slice(map.at, tracepoint.at + 1)
          .filter((line) => line.includes(map.task));
        let [inserted, shows] = [0, 0];
        for (const line of [
          trace.previous(map, ({ name }) => name === 'rl_ret').text,
          ...texts,
          trace.next(tracepoint, ({ name }) => name === 'ru').text,
        ]) {
          edits.insert(
            released,
            line.replaceAll(/\bgfn( |=0x)\w+/g, (_, how: string) => `gfn${how}${gfn.toString(16)}`),
          );
          inserted++;
          if (line.includes(hasValue(map, 'gfn') ? ' map: ' : ' chg: ')) shows = inserted;
        }
        return edits.lineOf(released, shows);
      }
    },
  },
  {
    what: 'an invalidation does not advance the sequence number, as the next one shows',
    rule: 'K38',
    alter: (edits, from) => skipIncrement(edits, from, false),
  },
  {
    what: 'an invalidation does not advance the sequence number, as the next fault shows',
    rule: 'K37',
    alter: (edits, from) => skipIncrement(edits, from, true),
  },
  {
    what: 'KVM counts fewer active invalidations than there are',
    rule: 'K38',
    alter: (edits, from) => {
      const end = edits.trace.first('inv_end', from, (e) => valueOf(e, 'inprog') > 0n);
      edits.set(end, 'inprog', valueOf(end, 'inprog') - 1n);
      return edits.lineOf(end);
    },
  },
  {
    what: 'an invalidation ends without mmu_lock',
    rule: 'K38',
    alter: (edits, from) => {
      const end = edits.trace.first('inv_end', from);
      edits.drop(edits.trace.previous(end, ({ name }) => name === 'wl_ret'));
      return edits.lineOf(end);
    },
  },
  {
    what: 'a range is unmapped while no invalidation is counted',
    rule: 'K39',
    alter: (edits: Edits, from) => {
      const range = edits.trace.first('unmap_gfn_range', from, (e) => valueOf(e, 'inprog') === 1n);
      edits.set(range, 'inprog', 0);
      return edits.lineOf(range);
    },
  },
];
