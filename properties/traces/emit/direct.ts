/**
 * Emits calls of KVM's functions in the run of an ordinary VM, with their arguments.
 *
 * One value is emitted that the recordings' probes do not fetch: the address space of the slot that
 * a range belongs to (range->slot->as_id, slot->as_id). Without it, a range for which no root was
 * walked may belong to SMM.
 */
import { slotsAt } from '../../../impl/tdp-mmu/notifiers.ts';
import type { ZapOptions } from '../../../impl/tdp-mmu/tdp-mmu.ts';
import {
  RET_CONTINUE,
  RET_EMULATE,
  RET_EXIT,
  RET_FIXED,
  RET_RETRY,
  RET_SPURIOUS,
  type Fault,
  type FaultAnswer,
  type KvmVcpu,
} from '../../../spec/kvm/kvm.ts';
import type { Slot } from '../../../spec/kvm/memslots.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { PageRef } from '../../../spec/machine/pages.ts';
import { DirectEvents, hex } from './direct-events.ts';
import type { FunctionListener } from './functions.ts';

/** Numbers of the results of a fault in 7.3: enum RET_PF_*. */
const RET_PF: Readonly<Record<FaultAnswer, number>> = {
  [RET_CONTINUE]: 0,
  [RET_RETRY]: 1,
  [RET_EMULATE]: 2,
  [RET_EXIT]: 4,
  [RET_FIXED]: 5,
  [RET_SPURIOUS]: 6,
};
/** KVM_PFN_NOSLOT. */
const NO_SLOT = 1n << 63n;
/** Leaves from this level on lose W when dirty logging begins; lower ones lose D. */
const LARGE_LEVEL = 2;

const bit = (value: boolean): number => (value ? 1 : 0);

/** Created before the VM, whose policy reports to it: see {@link probed}. */
export class DirectWriter extends DirectEvents implements FunctionListener {
  private fault({ index }: KvmVcpu, { gfn, root }: Fault): string {
    const { addresses } = this;
    return (
      `vcpu=${addresses.vcpu(index)} kvm=${addresses.vm} ` +
      `root=${addresses.physical(root)} gfn=${hex(addresses.gfn(gfn))}`
    );
  }

  fastFault(vcpu: KvmVcpu, fault: Fault): void {
    this.tasks.mine.lockless = 'fault';
    this.log.event('fpf', 'fast_page_fault+0x0', `${this.fault(vcpu, fault)} ec=0x100000006`);
  }

  fastFaultEnded(answer: FaultAnswer): void {
    this.tasks.mine.lockless = null;
    this.returned('fpf_ret', 'fast_page_fault', 'kvm_tdp_page_fault', `ret=${RET_PF[answer]}`);
  }

  map(vcpu: KvmVcpu, fault: Fault): void {
    const pfn = fault.slot < 0 ? NO_SLOT : this.addresses.frame(fault.page);
    this.log.event(
      'map',
      'kvm_tdp_mmu_map+0x4',
      `${this.fault(vcpu, fault)} pfn=${hex(pfn)} ec=0x100000006 req=1 mmu_seq=${fault.seq}`,
    );
  }

  mapEnded(answer: FaultAnswer): void {
    this.returned('map_ret', 'kvm_tdp_mmu_map', 'kvm_tdp_page_fault', `ret=${RET_PF[answer]}`);
  }

  loadMmu({ index }: KvmVcpu): void {
    const vcpu = `vcpu=${this.addresses.vcpu(index)}`;
    this.log.event('loadmmu', 'kvm_mmu_load+0x4', vcpu);
    this.log.event('alloc_root', 'kvm_tdp_mmu_alloc_root+0x4', `${vcpu} kvm=${this.addresses.vm}`);
  }

  freeObsoleteRoots(): void {
    this.event('freeobs', '__kvm_mmu_free_obsolete_roots', '');
  }

  private root(root: PageRef): string {
    return `root=${this.addresses.sp(root)}`;
  }

  putRoot(root: PageRef): void {
    this.event(
      'put_root',
      'kvm_tdp_mmu_put_root',
      `${this.root(root)} rc=${this.vm.kvm.roots.referencesTo(root)} ` +
        `role=${this.tables.role(root)} spt=${this.addresses.table(root)}`,
    );
  }

  invalidateRoots(): void {
    this.event('inval_roots', 'kvm_tdp_mmu_invalidate_roots', '');
  }

  zapInvalidatedRoots(): void {
    this.event('zap_inval', 'kvm_tdp_mmu_zap_invalidated_roots', 'shared=1');
  }

  zapInvalidatedRootsEnded(): void {
    this.returned('zap_inval_ret', 'kvm_tdp_mmu_zap_invalidated_roots', 'kvm_mmu_zap_all_fast');
  }

  zapRoot(root: PageRef, shared: boolean): void {
    this.event(
      'zap_root',
      'tdp_mmu_zap_root',
      `${this.root(root)} spt=${this.addresses.table(root)} shared=${bit(shared)}`,
    );
  }

  zapRootEnded(): void {
    this.returned('zap_root_ret', 'tdp_mmu_zap_root', 'kvm_tdp_mmu_zap_invalidated_roots');
  }

  zapPass(root: PageRef, shared: boolean, level: number): void {
    this.log.event(
      'zap_pass',
      '__tdp_mmu_zap_root+0x0',
      `${this.root(root)} shared=${bit(shared)} zap_level=${this.addresses.level(level)}`,
    );
  }

  zapLeafs(root: PageRef, gfn: number, end: number, { mayYield, flush }: ZapOptions): void {
    this.event(
      'zap_leafs',
      'tdp_mmu_zap_leafs',
      `${this.root(root)} ${this.range(gfn, end - gfn)} ` +
        `can_yield=${bit(mayYield)} flush=${bit(flush)}`,
    );
  }

  zapLeafsEnded(flush: boolean): void {
    this.returned(
      'zap_leafs_ret',
      'tdp_mmu_zap_leafs',
      'kvm_tdp_mmu_unmap_gfn_range',
      `ret=${bit(flush)}`,
    );
  }

  unmapRange(slot: Slot, gfn: number, pages: number): void {
    const { invalidation, slots } = this.vm.kvm;
    const { asId } = slots.place(slot);
    const range = this.range(gfn, pages);
    this.event(
      'unmap_gfn_range',
      'kvm_unmap_gfn_range',
      `${range} seq=${invalidation.now()} inprog=${invalidation.underWay()} as_id=${asId}`,
    );
    this.event('unmap_range', 'kvm_tdp_mmu_unmap_gfn_range', `${range} flush=0`);
  }

  unmapRangeEnded(flush: boolean): void {
    this.returned(
      'unmap_range_ret',
      'kvm_tdp_mmu_unmap_gfn_range',
      'kvm_unmap_gfn_range',
      `ret=${bit(flush)}`,
    );
  }

  notifierStarts(hva: number, pages: number): void {
    this.tasks.mine.notifier = 'start';
    this.log.event(
      'mn_start',
      'kvm_mmu_notifier_invalidate_range_start+0x4',
      `${hvaRange(hva, pages)} event=0`,
    );
  }

  notifierEnds(hva: number, pages: number): void {
    this.tasks.mine.notifier = 'end';
    this.log.event('mn_end', 'kvm_mmu_notifier_invalidate_range_end+0x4', hvaRange(hva, pages));
  }

  notifierEnded(): void {
    this.tasks.mine.notifier = null;
  }

  age(hva: number, pages: number): void {
    this.tasks.mine.lockless = 'age';
    for (const { gfn, pages: count } of slotsAt(this.vm.kvm, hva, pages)) {
      this.event('age', 'kvm_tdp_mmu_age_gfn_range', this.range(gfn, count));
    }
  }

  ageEnded(): void {
    this.tasks.mine.lockless = null;
  }

  splitSlot(slot: Slot): void {
    const { slots } = this.vm.kvm;
    this.event(
      'split_slot',
      'kvm_tdp_mmu_try_split_huge_pages',
      `${this.range(slots.gfnOf(slot), slots.place(slot).pages)} target=1 shared=1`,
    );
  }

  protectSlot(slot: Slot): void {
    this.event('cleardirty_slot', 'kvm_tdp_mmu_clear_dirty_slot', this.slot(slot));
    this.event(
      'wrprot_slot',
      'kvm_tdp_mmu_wrprot_slot',
      `${this.slot(slot)} min_level=${LARGE_LEVEL} as_id=${this.vm.kvm.slots.place(slot).asId}`,
    );
  }

  makeReport(gfn: number): void {
    this.tasks.mine.lockless = 'report';
    this.event(
      'cleardirty_pt',
      'kvm_tdp_mmu_clear_dirty_pt_masked',
      `gfn=${hex(this.addresses.gfn(gfn))} mask=0x1 wrprot=0`,
    );
  }

  makeReportEnded(): void {
    this.tasks.mine.lockless = null;
  }

  recoverSlot(slot: Slot): void {
    this.event('recover_slot', 'kvm_tdp_mmu_recover_huge_pages', this.slot(slot));
  }

  track(gfn: number): void {
    this.event('wp_gfn', 'kvm_tdp_mmu_write_protect_gfn', `gfn=${hex(this.addresses.gfn(gfn))}`);
  }

  recoverTable(table: PageRef): void {
    const { tables } = this.vm.kvm;
    const gfn = tables.gfnOf(table, 0);
    const ptep = this.addresses.table(
      tables.parentOf(table),
      tables.index(gfn, tables.levelOf(table) + 1),
    );
    this.event(
      'nxzap',
      'kvm_tdp_mmu_zap_possible_nx_huge_page',
      `sp=${this.addresses.sp(table)} spt=${this.addresses.table(table)} ` +
        `ptep=${ptep} gfn=${hex(this.addresses.gfn(gfn))}`,
    );
  }

  link(parent: PageRef, index: number, table: PageRef): void {
    this.event(
      'link_sp',
      'tdp_mmu_link_sp',
      `sptep=${this.addresses.table(parent, index)} spt=${this.addresses.table(table)} shared=1`,
    );
  }

  destroy(): void {
    this.event('vm_uninit', 'kvm_mmu_uninit_tdp_mmu', '');
  }

  changes(shared: boolean): void {
    this.tasks.mine.shared.push(shared);
  }

  changed(): void {
    this.tasks.mine.shared.pop();
  }
}

const hvaRange = (hva: number, pages: number): string =>
  `start=${hex(hva * PAGE_BYTES)} end=${hex((hva + pages) * PAGE_BYTES)}`;
