import type { Reporter } from '../../machine/monitor.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { RET_RETRY, type Kvm } from '../kvm.ts';
import { NO_MEMSLOT, SLOT_INVALID } from '../memslots.ts';
import { FROZEN, isLeafSpte, pageOfSpte } from '../spte.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

const NO_LOOKUP = -1;

/** A fault installs a page only if nothing was invalidated since it looked the page up. */
function watchInstalls(kvm: Kvm, report: Reporter): void {
  const { attributes, invalidation, m, primary, tables } = kvm;
  /** The GFN that the actor last looked up: its fault's. */
  const wanted = new PerActor(m);
  kvm.slots.listeners.push({
    lookedUp: (_asId, gfn) => {
      wanted.mine = gfn;
    },
  });
  const page = new PerActor(m, NO_LOOKUP);
  const seq = new PerActor(m);
  for (const memory of [primary, attributes.memory])
    memory.listeners.push({
      got: (at) => {
        page.mine = at;
        seq.mine = invalidation.now() | 0;
      },
    });
  tables.listeners.push((table, _index, before, after) => {
    if (page.mine === NO_LOOKUP || !isReachable(tables, table)) return;
    if (!isLeafSpte(after) || before === after) return;
    if (isLeafSpte(before) && pageOfSpte(before) === pageOfSpte(after)) return;
    report.exercised();
    // the fault's own GFN: an invalidation of its neighbour in a huge leaf does not count
    const gfn = wanted.mine;
    const isStale = seq.mine !== (invalidation.now() | 0) || invalidation.covers(gfn);
    if (isStale)
      report.violated(
        `GFN ${gfn} mapped to a page that was looked up since the last invalidation`,
        `page ${page.mine} is stale`,
      );
  });
  const forget = (): void => {
    page.mine = NO_LOOKUP;
  };
  kvm.listeners.push({ faultBegan: forget, faultEnded: forget });
}

/** Each reference to a page that a fault gets is put, and no other. */
function watchReferences(kvm: Kvm, report: Reporter): void {
  const references = new Map<number, number>();
  kvm.m.clearOnReset(references);
  const count = (page: number, by: number): void => {
    references.set(page, (references.get(page) ?? 0) + by);
    if ((references.get(page) ?? 0) < 0)
      report.violated(`a reference to page ${page} before it is put`, 'none was got');
  };
  for (const memory of [kvm.primary, kvm.attributes.memory])
    memory.listeners.push({ got: (page) => count(page, 1), put: (page) => count(page, -1) });
  kvm.listeners.push({
    atRest: () => {
      for (const [page, left] of references) {
        if (left !== 0) report.violated(`every reference to page ${page} put`, `${left} left`);
      }
    },
  });
}

/** Per actor, 1 when something has happened since its fault began that justifies a retry. */
function reasonsToRetry(kvm: Kvm): PerActor {
  const reason = new PerActor(kvm.m);
  const mine = (): void => {
    reason.mine = 1;
  };
  const others = (): void => reason.fillOthers(1);
  kvm.tables.onCmpxchgFailed.push(mine);
  kvm.pages.onFailure.push(mine);
  kvm.tables.readers.push((_table, _index, spte) => {
    if (spte === FROZEN) reason.mine = 1;
  });
  kvm.tables.listeners.push(others);
  kvm.invalidation.listeners.push({
    sampled: () => {
      if (kvm.invalidation.underWay() > 0) reason.mine = 1;
    },
    began: others,
    ended: others,
  });
  kvm.roots.listeners.push({ invalidated: others });
  kvm.slots.listeners.push({
    lookedUp: (_asId, _gfn, slot) => {
      if (slot !== NO_MEMSLOT && kvm.slots.stateOf(slot) === SLOT_INVALID) reason.mine = 1;
    },
    installed: others,
  });
  return reason;
}

/** A fault is retried only for a reason. */
function watchRetries(kvm: Kvm, report: Reporter): void {
  const reason = reasonsToRetry(kvm);
  const hasRequests = (vcpu: number): boolean => (kvm.vcpus[vcpu]?.vcpu.requests() ?? 0) !== 0;
  kvm.listeners.push({
    faultBegan: (vcpu, { root }) => {
      reason.mine = (root >= 0 && kvm.roots.isInvalid(root)) || hasRequests(vcpu) ? 1 : 0;
    },
    faultEnded: (vcpu, fault, result) => {
      if (result !== RET_RETRY || reason.mine !== 0 || hasRequests(vcpu)) return;
      report.violated(`the fault on GFN ${fault.gfn} ends: nothing interfered`, 'it is retried');
    },
  });
}

export default {
  id: 'K37',
  level: 'required',
  statement:
    'A fault installs a page only if nothing was invalidated since before it looked the page up, ' +
    'and is retried only if something was; it puts exactly the page references that it got.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_mmu_faultin_pfn(), is_page_fault_stale(); commits ' +
    'a955cad84cda, ba6e3fe25543',
  intent:
    'A fault that installs a stale page maps memory that the host has already given to another ' +
    'use.',
  hint:
    'Look at the order: sample mmu_invalidate_seq, read barrier, look up slot and PFN, take ' +
    'mmu_lock, check is_page_fault_stale(), install.',
  versions: ['*'],
  watch: (kvm, report) => {
    watchInstalls(kvm, report);
    watchReferences(kvm, report);
    watchRetries(kvm, report);
  },
} satisfies KvmRule;
