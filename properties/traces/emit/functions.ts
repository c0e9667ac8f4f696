/**
 * Probes on the functions of a policy: each call, and each return, is reported to a listener. As
 * with a kernel's probes, the policy takes the same steps as without them.
 */
import type { TdpMmu, ZapOptions } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import type { Fault, FaultAnswer, KvmVcpu } from '../../../spec/kvm/kvm.ts';
import type { Slot } from '../../../spec/kvm/memslots.ts';
import { kindOfSpte, pageOfSpte, TABLE } from '../../../spec/kvm/spte.ts';
import type { PageRef } from '../../../spec/machine/pages.ts';
import type { Steps } from '../../../spec/machine/step.ts';

/** Called in the caller's current step. */
export interface FunctionListener {
  fastFault(vcpu: KvmVcpu, fault: Fault): void;
  fastFaultEnded(answer: FaultAnswer): void;
  map(vcpu: KvmVcpu, fault: Fault): void;
  mapEnded(answer: FaultAnswer): void;
  loadMmu(vcpu: KvmVcpu): void;
  freeObsoleteRoots(): void;
  putRoot(root: PageRef): void;
  invalidateRoots(): void;
  zapInvalidatedRoots(): void;
  zapInvalidatedRootsEnded(): void;
  zapRoot(root: PageRef, shared: boolean): void;
  zapRootEnded(): void;
  zapPass(root: PageRef, shared: boolean, level: number): void;
  zapLeafs(root: PageRef, gfn: number, end: number, options: ZapOptions): void;
  zapLeafsEnded(flush: boolean): void;
  unmapRange(slot: Slot, gfn: number, pages: number): void;
  unmapRangeEnded(flush: boolean): void;
  notifierStarts(hva: number, pages: number): void;
  /** The host has reclaimed its pages, and the notifier's second half begins. */
  notifierEnds(hva: number, pages: number): void;
  notifierEnded(): void;
  age(hva: number, pages: number): void;
  ageEnded(): void;
  splitSlot(slot: Slot): void;
  protectSlot(slot: Slot): void;
  makeReport(gfn: number): void;
  makeReportEnded(): void;
  recoverSlot(slot: Slot): void;
  track(gfn: number): void;
  recoverTable(table: PageRef): void;
  link(parent: PageRef, index: number, table: PageRef): void;
  destroy(): void;
  /** The task enters a function that changes entries in the mode of mmu_lock that it assumes. */
  changes(shared: boolean): void;
  /** The task leaves that function. */
  changed(): void;
}

/** Runs `steps` between two calls of the listener. */
function* around<Result>(
  begin: () => void,
  steps: Steps<Result>,
  end: (result: Result) => void = nothing,
): Steps<Result> {
  begin();
  const result = yield* steps;
  end(result);
  return result;
}

const nothing = (): void => {};

/** Returns `mmu` with functions that report to `to`. */
export function probed(mmu: TdpMmu, to: FunctionListener): TdpMmu {
  return {
    ...mmu,
    ...faults(mmu, to),
    ...roots(mmu, to),
    ...zaps(mmu, to),
    ...slots(mmu, to),
    ...changes(mmu, to),
  };
}

type Probed = Partial<TdpMmu> & ThisType<TdpMmu>;

/** Skips faults whose root has no page, which the shadow MMU handles. */
const faults = (mmu: TdpMmu, to: FunctionListener): Probed => ({
  fastPageFault(kvm, vcpu, fault) {
    const steps = mmu.fastPageFault.call(this, kvm, vcpu, fault);
    return fault.root < 0
      ? steps
      : around(
          () => to.fastFault(vcpu, fault),
          steps,
          (answer) => to.fastFaultEnded(answer),
        );
  },
  map(kvm, vcpu, fault) {
    const steps = mmu.map.call(this, kvm, vcpu, fault);
    return fault.root < 0
      ? steps
      : around(
          () => to.map(vcpu, fault),
          steps,
          (answer) => to.mapEnded(answer),
        );
  },
  ageRange(kvm, hva, pages) {
    return around(
      () => to.age(hva, pages),
      mmu.ageRange.call(this, kvm, hva, pages),
      () => to.ageEnded(),
    );
  },
  invalidateRange(kvm, hva, pages, mayBlock, reclaim) {
    const last = (): Steps<void> => around(nothing, reclaim(), () => to.notifierEnds(hva, pages));
    const steps = mmu.invalidateRange.call(this, kvm, hva, pages, mayBlock, last);
    return around(
      () => to.notifierStarts(hva, pages),
      steps,
      () => to.notifierEnded(),
    );
  },
});

const roots = (mmu: TdpMmu, to: FunctionListener): Probed => ({
  loadMmu(kvm, vcpu, context) {
    return around(() => to.loadMmu(vcpu), mmu.loadMmu.call(this, kvm, vcpu, context));
  },
  freeObsoleteRoots(kvm, vcpu) {
    return around(() => to.freeObsoleteRoots(), mmu.freeObsoleteRoots.call(this, kvm, vcpu));
  },
  putRoot(kvm, root, shared) {
    return around(() => to.putRoot(root), mmu.putRoot.call(this, kvm, root, shared));
  },
  invalidateRoots(kvm) {
    return around(() => to.invalidateRoots(), mmu.invalidateRoots.call(this, kvm));
  },
  zapInvalidatedRoots(kvm) {
    const steps = mmu.zapInvalidatedRoots.call(this, kvm);
    return around(
      () => to.zapInvalidatedRoots(),
      steps,
      () => to.zapInvalidatedRootsEnded(),
    );
  },
  destroyVm(kvm) {
    return around(() => to.destroy(), mmu.destroyVm.call(this, kvm));
  },
});

const zaps = (mmu: TdpMmu, to: FunctionListener): Probed => ({
  zapRoot(kvm, root, shared) {
    return around(
      () => to.zapRoot(root, shared),
      mmu.zapRoot.call(this, kvm, root, shared),
      () => to.zapRootEnded(),
    );
  },
  zapRootLevel(kvm, root, shared, level) {
    return around(
      () => to.zapPass(root, shared, level),
      mmu.zapRootLevel.call(this, kvm, root, shared, level),
    );
  },
  zapLeafs(kvm, root, gfn, end, options) {
    const steps = mmu.zapLeafs.call(this, kvm, root, gfn, end, options);
    return around(
      () => to.zapLeafs(root, gfn, end, options),
      steps,
      (flush) => to.zapLeafsEnded(flush),
    );
  },
  unmapGfnRange(kvm, slot, gfn, pages, mayBlock) {
    const steps = mmu.unmapGfnRange.call(this, kvm, slot, gfn, pages, mayBlock);
    return around(
      () => to.unmapRange(slot, gfn, pages),
      steps,
      (flush) => to.unmapRangeEnded(flush),
    );
  },
});

const slots = (mmu: TdpMmu, to: FunctionListener): Probed => ({
  splitHugePages(kvm, slot) {
    return around(() => to.splitSlot(slot), mmu.splitHugePages.call(this, kvm, slot));
  },
  writeProtectSlot(kvm, slot) {
    return around(() => to.protectSlot(slot), mmu.writeProtectSlot.call(this, kvm, slot));
  },
  makeReport(kvm, asId, gfn) {
    return around(
      () => to.makeReport(gfn),
      mmu.makeReport.call(this, kvm, asId, gfn),
      () => to.makeReportEnded(),
    );
  },
  recoverHugePages(kvm, slot) {
    return around(() => to.recoverSlot(slot), mmu.recoverHugePages.call(this, kvm, slot));
  },
  trackGfn(kvm, slot, gfn, tracked) {
    return around(() => to.track(gfn), mmu.trackGfn.call(this, kvm, slot, gfn, tracked));
  },
});

/** Reports the mode in which a change assumes that mmu_lock is held. */
const changes = (mmu: TdpMmu, to: FunctionListener): Probed => {
  const inMode = <Result>(shared: boolean, steps: Steps<Result>): Steps<Result> =>
    around(
      () => to.changes(shared),
      steps,
      () => to.changed(),
    );
  return {
    *setSpteAtomic(kvm, walk, value) {
      const { table, index } = walk;
      if (kindOfSpte(value) === TABLE) to.link(table, index, pageOfSpte(value));
      return yield* inMode(true, mmu.setSpteAtomic.call(this, kvm, walk, value));
    },
    setSpte(kvm, walk, value) {
      return inMode(false, mmu.setSpte.call(this, kvm, walk, value));
    },
    handleRemovedTable(kvm, table, shared) {
      return inMode(shared, mmu.handleRemovedTable.call(this, kvm, table, shared));
    },
    zapPossibleNxHugePage(kvm, table) {
      return around(
        () => to.recoverTable(table),
        inMode(true, mmu.zapPossibleNxHugePage.call(this, kvm, table)),
      );
    },
  };
};
