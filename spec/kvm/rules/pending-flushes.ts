/** TLB flushes that are still due: which GFNs each actor has zapped since they were flushed. */
import { PerActor } from '../../machine/per-actor.ts';
import type { Kvm } from '../kvm.ts';
import { isLeafSpte, isPresent, kindOfSpte, TABLE } from '../spte.ts';
import { gfnBits, rangeBits } from './gfn-sets.ts';
import { isReachable } from './reachable-tables.ts';

/** Per actor, the GFNs whose mapping under a valid root it has zapped since they were flushed. */
export function pendingFlushes(kvm: Kvm): PerActor {
  const { roots, tables } = kvm;
  const pending = new PerActor(kvm.m);
  tables.listeners.push((table, index, before, after) => {
    if (!isReachable(tables, table) || !isPresent(before) || before === after) return;
    const isZapped = !isPresent(after) || (kindOfSpte(before) === TABLE && isLeafSpte(after));
    if (isZapped && !roots.isInvalid(tables.rootOf(table)))
      pending.mine |= gfnBits(tables, table, index);
  });
  return pending;
}

/** Clears GFNs from every actor's set when any actor flushes them. */
export function clearOnFlush(kvm: Kvm, pending: PerActor): void {
  kvm.listeners.push({
    flushed: (gfn, pages) => {
      const bits = rangeBits(gfn, pages);
      for (let actor = -1; actor < kvm.m.actors.length; actor++)
        pending.set(actor, pending.of(actor) & ~bits);
    },
  });
}
