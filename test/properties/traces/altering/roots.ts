/** Alterations of roots: how they become invalid, which tasks use them, how they are emptied. */
import type { Alteration, Edits } from './edits.ts';
import { acquiredFor, releasedAfter } from './locks.ts';
import { DIRECT_MAP, freed } from './table-events.ts';
import { type Event, hasPlace, hasValue, levelOf, NoPlace, type Trace, valueOf } from './trace.ts';
import { INVALID } from './zaps.ts';

const FAR = 50_000;
const NEAR = 10;

/** Event that makes the roots of a VM invalid that has faults before and afterwards. */
const invalidated = (trace: Trace, from: number): Event =>
  trace.first(
    'inval_roots',
    from,
    (e) =>
      acquiredFor(trace, e).at > e.at - NEAR &&
      hasPlace(() => trace.last('map', e.at)) &&
      hasPlace(() => trace.first('map', e.at)),
  );

/** Change that empties an entry of a root that is zapped. */
const emptied = (trace: Trace, from: number): Event =>
  trace.first(
    'chg',
    from,
    (e) =>
      levelOf(e) === 4 &&
      trace.isTable(valueOf(e, 'old'), 4) &&
      !trace.isPresent(valueOf(e, 'new')),
  );

/**
 * Removes every event of the zap of a root and of the tables under it. Returns the put of the
 * root's last reference.
 */
function removeZap(edits: Edits, from: number): Event {
  const { trace } = edits;
  const zap = trace.previous(emptied(trace, from), ({ name }) => name === 'zap_root');
  const [kvm, spt] = [valueOf(zap, 'kvm'), valueOf(zap, 'spt')];
  const put = trace.first(
    'put_root',
    zap.at,
    (e) => valueOf(e, 'rc') === 1n && valueOf(e, 'spt') === spt,
  );
  const between = trace.next(zap, ({ name }) => name === 'zap_leafs' || name === 'put_root');
  if (between.name === 'zap_leafs') throw new NoPlace('the task zaps leaves in between');
  const free = freed(trace, spt - DIRECT_MAP, put.at);
  // entries from before the trace are unknown
  trace.last('init_sp', zap.at, (e) => valueOf(e, 'spt') === spt);
  for (const name of ['chg', 'kvm_tdp_mmu_spte_changed', 'zap_root_ret', 'zap_root']) {
    for (const e of trace.all(name))
      if (e.task === zap.task && e.at >= zap.at && e.at < put.at) edits.drop(e);
  }
  for (const e of trace.all('free_rcu')) if (e.at > zap.at && e.at < free.at) edits.drop(e);
  if (trace.all('inv_end').some(({ at }) => at > zap.at && at < free.at))
    throw new NoPlace('an invalidation ends in between');
  if (
    trace.all('zap_root').some((e) => e.at > zap.at && e.at < put.at && valueOf(e, 'kvm') !== kvm)
  )
    throw new NoPlace('another VM is in between');
  return put;
}

export const ROOTS: readonly Alteration[] = [
  {
    what: 'roots become invalid without mmu_lock',
    whole: true,
    rule: 'K32',
    alter: (edits, from) => {
      const { trace } = edits;
      const made = invalidated(trace, from);
      edits.drop(acquiredFor(trace, made));
      return edits.lineOf(made);
    },
  },
  {
    what: 'roots become invalid with mmu_lock held for read',
    whole: true,
    rule: 'K32',
    alter: (edits, from) => {
      const { trace } = edits;
      const made = invalidated(trace, from);
      const acquired = acquiredFor(trace, made);
      edits.rewrite(
        trace.previous(acquired, ({ name }) => name === 'wl'),
        / wl: /,
        ' rl: ',
      );
      edits.rewrite(acquired, / wl_ret: /, ' rl_ret: ');
      return edits.lineOf(made);
    },
  },
  {
    what: 'a fault maps under an invalid root',
    rule: 'K33',
    alter: (edits, from) => {
      const { trace } = edits;
      const made = invalidated(trace, from);
      const kvm = valueOf(made, 'kvm');
      const isOf = (e: Event): boolean => valueOf(e, 'kvm') === kvm;
      const before = trace.last('map', made.at, isOf);
      const after = trace.first(
        'map',
        releasedAfter(trace, made).at,
        (e) => isOf(e) && valueOf(e, 'root') !== valueOf(before, 'root'),
      );
      edits.set(after, 'root', valueOf(before, 'root'));
      return edits.lineOf(after);
    },
  },
  {
    what: 'a vCPU keeps using an invalid root',
    rule: 'K23',
    alter: (edits, from) => {
      const { trace } = edits;
      const made = invalidated(trace, from);
      const kvm = valueOf(made, 'kvm');
      const done = releasedAfter(trace, made);
      const loaded = trace.first(
        'loadmmu',
        done.at,
        (e) =>
          valueOf(
            trace.previous(e, ({ name }) => name === 'fpf' || name === 'map'),
            'kvm',
          ) === kvm,
      );
      const used = trace.previous(loaded, ({ name }) => name === 'fpf' || name === 'map');
      if (used.at < trace.last('alloc_root', made.at, (e) => valueOf(e, 'kvm') === kvm).at)
        throw new NoPlace('the vCPU uses an older root');
      const entry = trace.next(loaded, ({ name }) => name === 'kvm_entry');
      for (const name of ['loadmmu', 'freeobs', 'alloc_root']) {
        for (const e of trace.all(name))
          if (e.task === loaded.task && e.at > used.at && e.at < entry.at) edits.drop(e);
      }
      return edits.lineOf(
        trace.next(
          used.at > done.at ? used : { ...used, at: done.at },
          ({ name }) => name === 'kvm_entry',
        ),
      );
    },
  },
  {
    what: 'a root is freed before it is zapped',
    rule: 'K32',
    alter: (edits, from) => {
      const put = removeZap(edits, from);
      return edits.lineOf(put);
    },
  },
  {
    what: 'a root is freed before it is zapped, in a trace without put_root and zap_inval_ret',
    rule: 'K32',
    elsewhere: 'linux-7.3.4-memslot-delete-quirkoff',
    alter: (edits, from) => {
      const { trace } = edits;
      const put = removeZap(edits, from);
      if (trace.all('vm_uninit').some(({ at }) => at > put.at - 100 && at < put.at))
        throw new NoPlace('the VM ends');
      for (const name of ['put_root', 'zap_inval_ret']) {
        for (const e of trace.all(name)) if (e.at >= put.at && e.at < put.at + FAR) edits.drop(e);
      }
      return edits.lineOf(freed(trace, valueOf(put, 'spt') - DIRECT_MAP, put.at));
    },
  },
  {
    what: 'a root that is known only by its address is freed before it is zapped',
    rule: 'K32',
    whole: true,
    elsewhere: 'linux-6.1.192-fork-cow',
    alter: (edits, from) => {
      const { trace } = edits;
      const pass = trace.first('zap_pass', from);
      if (hasValue(pass, 'spt') || trace.all('zap_root').length > 0)
        throw new NoPlace('roots have names');
      const sp = valueOf(pass, 'root');
      const free = trace.first(
        'free_rcu',
        pass.at,
        (e) => valueOf(e, 'head') >= sp && valueOf(e, 'head') < sp + 256n,
      );
      for (const e of trace.all('free_rcu')) if (e.at > pass.at && e.at < free.at) edits.drop(e);
      for (const name of ['chg', 'kvm_tdp_mmu_spte_changed']) {
        for (const e of trace.all(name))
          if (e.task === pass.task && e.at > pass.at && e.at < free.at) edits.drop(e);
      }
      return edits.lineOf(free);
    },
  },
  {
    what: 'the zap of a whole root skips an entry',
    rule: 'K26',
    alter: (edits, from) => {
      const { trace } = edits;
      const entry = emptied(trace, from);
      const spt = valueOf(
        trace.previous(entry, ({ name }) => name === 'zap_root'),
        'spt',
      );
      trace.last('init_sp', entry.at, (e) => valueOf(e, 'spt') === spt);
      edits.undo(entry);
      const returned = trace.next(entry, ({ name }) => name === 'zap_root_ret');
      if (trace.all('free_rcu').some(({ at }) => at > entry.at && at < returned.at))
        throw new NoPlace('a table under the root is freed');
      return edits.lineOf(returned);
    },
  },
  {
    what: 'the last reference of a valid root is put',
    rule: 'K31',
    alter: (edits, from) => {
      const put = edits.trace.first(
        'put_root',
        from,
        (e) =>
          hasValue(e, 'rc') &&
          valueOf(e, 'rc') > 1n &&
          (valueOf(e, 'role') & (INVALID[edits.trace.kernel] ?? 0n)) === 0n,
      );
      edits.set(put, 'rc', 1);
      return edits.lineOf(put);
    },
  },
  {
    what: 'a root is put more often than it was got',
    rule: 'K31',
    alter: (edits, from) => {
      const put = edits.trace.first('put_root', from, (e) => hasValue(e, 'rc'));
      edits.set(put, 'rc', 0);
      return edits.lineOf(put);
    },
  },
  {
    what: 'a vCPU loads an invalid root',
    rule: 'K34',
    alter: (edits, from) => {
      const { trace } = edits;
      const made = invalidated(trace, from);
      const before = trace.last('map', made.at, (e) => valueOf(e, 'kvm') === valueOf(made, 'kvm'));
      const loaded = trace.first('loadmmu', releasedAfter(trace, made).at);
      const fault = trace.next(loaded, ({ name }) => name === 'fpf' || name === 'map');
      edits.set(fault, 'root', valueOf(before, 'root'));
      return edits.lineOf(fault);
    },
  },
  {
    what: 'a root keeps a reference when the MMU of its VM is gone',
    rule: 'K35',
    alter: (edits, from) => {
      const { trace } = edits;
      const uninit = trace.first('vm_uninit', from);
      const put = trace.next(
        uninit,
        (e) => e.name === 'put_root' && hasValue(e, 'rc') && valueOf(e, 'rc') === 1n,
      );
      edits.set(put, 'rc', 2);
      edits.drop(freed(trace, valueOf(put, 'spt') - DIRECT_MAP, put.at));
      return edits.lineOf(trace.next(put, ({ name }) => name === 'zap_inval_ret'));
    },
  },
];
