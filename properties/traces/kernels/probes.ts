/**
 * The probes of each kernel's KVM that captures were made with. Arguments are fetched by name,
 * which needs BTF; on 6.1 they are fetched from registers. Source: the probe lists of the
 * recordings, of 6.1, 6.12 and 7.3, which say of each probe that it could be installed; tried on
 * the others.
 */
import type { EventName } from '../reader/event-table.ts';
import type { KernelName } from './names.ts';
import type { Probe } from './probe.ts';
import { PROBES_6_1 } from './probes-6.1.ts';

const KVM = 'kvm=kvm:x64';
const SEQ = 'seq=kvm->mmu_invalidate_seq:u64 inprog=kvm->mmu_invalidate_in_progress:s64';
const RANGE = 'start=range->start:x64 end=range->end:x64';
const SLOT = 'base=slot->base_gfn:x64 n=slot->npages:x64';
/**
 * Address space of a slot, to distinguish slots of SMM. The recordings' probes do not fetch it; it
 * was tried on 6.12, 6.16, 6.18, 7.2 and 7.3.
 */
const AS_ID = 'as_id=slot->as_id:u16';
const SPAN = 'start=start:x64 end=end:x64';
const FAULT =
  'vcpu=vcpu:x64 kvm=vcpu->kvm:x64 root=vcpu->arch.mmu->root.hpa:x64 gfn=fault->gfn:x64';
const VALUES = 'level=level:s32 old=old_spte:x64 new=new_spte:x64 shared=shared:u8';

const COMMON: readonly Probe[] = [
  { name: 'rl', at: 'entry', symbol: '_raw_read_lock', args: 'lock=%di:x64' },
  { name: 'rl_ret', at: 'return', symbol: '_raw_read_lock', args: 'lock=$arg1:x64' },
  { name: 'ru', at: 'entry', symbol: '_raw_read_unlock', args: 'lock=%di:x64' },
  { name: 'wl', at: 'entry', symbol: '_raw_write_lock', args: 'lock=%di:x64' },
  { name: 'wl_ret', at: 'return', symbol: '_raw_write_lock', args: 'lock=$arg1:x64' },
  { name: 'wu', at: 'entry', symbol: '_raw_write_unlock', args: 'lock=%di:x64' },
  {
    name: 'map',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_map',
    args:
      `${FAULT} pfn=fault->pfn:x64 ec=fault->error_code:x64 ` +
      'req=fault->req_level:u8 mmu_seq=fault->mmu_seq:u64',
  },
  { name: 'map_ret', at: 'return', symbol: 'kvm_tdp_mmu_map', args: 'ret=$retval:s32' },
  {
    name: 'fpf',
    at: 'entry',
    symbol: 'fast_page_fault',
    args: `${FAULT} ec=fault->error_code:x64`,
  },
  { name: 'fpf_ret', at: 'return', symbol: 'fast_page_fault', args: 'ret=$retval:s32' },
  {
    name: 'init_sp',
    at: 'entry',
    symbol: 'tdp_mmu_init_sp',
    args: 'sp=sp:x64 spt=sp->spt:x64 sptep=sptep:x64 gfn=gfn:x64 role=%cx:x32',
  },
  {
    name: 'link_sp',
    at: 'entry',
    symbol: 'tdp_mmu_link_sp',
    args: `${KVM} sptep=iter->sptep:x64 spt=sp->spt:x64 shared=shared:u8`,
  },
  {
    name: 'free_rcu',
    at: 'fprobe',
    symbol: 'tdp_mmu_free_sp_rcu_callback',
    args: 'head=head:x64 spt=-0x78($arg1):x64',
  },
  {
    name: 'alloc_root',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_alloc_root',
    args: 'vcpu=vcpu:x64 kvm=vcpu->kvm:x64',
  },
  {
    name: 'put_root',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_put_root',
    args:
      `${KVM} root=root:x64 rc=root->tdp_mmu_root_count.refs.counter:s32 ` +
      'role=root->role.word:x32 spt=root->spt:x64',
  },
  { name: 'zap_inval_ret', at: 'return', symbol: 'kvm_tdp_mmu_zap_invalidated_roots', args: '' },
  { name: 'zap_all', at: 'entry', symbol: 'kvm_tdp_mmu_zap_all', args: KVM },
  {
    name: 'zap_root',
    at: 'entry',
    symbol: 'tdp_mmu_zap_root',
    args: `${KVM} root=root:x64 spt=root->spt:x64 shared=shared:u8`,
  },
  { name: 'zap_root_ret', at: 'return', symbol: 'tdp_mmu_zap_root', args: '' },
  {
    name: 'zap_pass',
    at: 'entry',
    symbol: '__tdp_mmu_zap_root',
    args: 'root=root:x64 shared=shared:u8 zap_level=zap_level:s32',
  },
  {
    name: 'zap_leafs',
    at: 'entry',
    symbol: 'tdp_mmu_zap_leafs',
    args: `${KVM} root=root:x64 ${SPAN} can_yield=can_yield:u8 flush=flush:u8`,
  },
  { name: 'zap_leafs_ret', at: 'return', symbol: 'tdp_mmu_zap_leafs', args: 'ret=$retval:u8' },
  { name: 'vm_init', at: 'entry', symbol: 'kvm_mmu_init_tdp_mmu', args: KVM },
  { name: 'vm_uninit', at: 'entry', symbol: 'kvm_mmu_uninit_tdp_mmu', args: KVM },
  {
    name: 'unmap_gfn_range',
    at: 'entry',
    symbol: 'kvm_unmap_gfn_range',
    args: `${KVM} ${RANGE} ${SEQ} as_id=range->slot->as_id:u16`,
  },
  {
    name: 'unmap_range',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_unmap_gfn_range',
    args: `${KVM} ${RANGE} flush=flush:u8`,
  },
  {
    name: 'unmap_range_ret',
    at: 'return',
    symbol: 'kvm_tdp_mmu_unmap_gfn_range',
    args: 'ret=$retval:u8',
  },
  { name: 'inv_add', at: 'entry', symbol: 'kvm_mmu_invalidate_range_add', args: `${KVM} ${SPAN}` },
  { name: 'inv_end', at: 'entry', symbol: 'kvm_mmu_invalidate_end', args: `${KVM} ${SEQ}` },
  {
    name: 'mn_start',
    at: 'entry',
    symbol: 'kvm_mmu_notifier_invalidate_range_start',
    args: `${RANGE} event=range->event:s32`,
  },
  { name: 'mn_end', at: 'entry', symbol: 'kvm_mmu_notifier_invalidate_range_end', args: RANGE },
  {
    name: 'mn_unmap',
    at: 'entry',
    symbol: 'kvm_mmu_unmap_gfn_range',
    args: `${KVM} ${RANGE} ${SEQ}`,
  },
  { name: 'mn_release', at: 'entry', symbol: 'kvm_mmu_notifier_release', args: '' },
  { name: 'mn_clear_young', at: 'entry', symbol: 'kvm_mmu_notifier_clear_young', args: SPAN },
  {
    name: 'mn_clear_flush_young',
    at: 'entry',
    symbol: 'kvm_mmu_notifier_clear_flush_young',
    args: SPAN,
  },
  { name: 'age', at: 'entry', symbol: 'kvm_tdp_mmu_age_gfn_range', args: `${KVM} ${RANGE}` },
  { name: 'flush', at: 'entry', symbol: 'kvm_flush_remote_tlbs', args: KVM },
  { name: 'flush_ret', at: 'return', symbol: 'kvm_flush_remote_tlbs', args: '' },
  {
    name: 'flush_range',
    at: 'entry',
    symbol: 'kvm_flush_remote_tlbs_range',
    args: `${KVM} gfn=gfn:x64 n=nr_pages:x64`,
  },
  { name: 'flush_range_ret', at: 'return', symbol: 'kvm_flush_remote_tlbs_range', args: '' },
  {
    name: 'flush_slot',
    at: 'entry',
    symbol: 'kvm_flush_remote_tlbs_memslot',
    args: `${KVM} base=memslot->base_gfn:x64 n=memslot->npages:x64`,
  },
  {
    name: 'wrprot_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_wrprot_slot',
    args: `${KVM} ${SLOT} min_level=min_level:s32 ${AS_ID}`,
  },
  {
    name: 'cleardirty_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_clear_dirty_slot',
    args: `${KVM} ${SLOT}`,
  },
  {
    name: 'cleardirty_pt',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_clear_dirty_pt_masked',
    args: `${KVM} gfn=gfn:x64 mask=mask:x64 wrprot=wrprot:u8 ${AS_ID}`,
  },
  {
    name: 'wp_gfn',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_write_protect_gfn',
    args: `${KVM} gfn=gfn:x64`,
  },
  {
    name: 'split_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_try_split_huge_pages',
    args: `${KVM} ${SPAN} target=target_level:s32 shared=shared:u8`,
  },
  { name: 'hwflush', at: 'entry', symbol: 'svm_flush_tlb_asid', args: 'vcpu=vcpu:x64' },
  { name: 'loadmmu', at: 'entry', symbol: 'kvm_mmu_load', args: 'vcpu=vcpu:x64' },
  { name: 'freeobs', at: 'entry', symbol: '__kvm_mmu_free_obsolete_roots', args: KVM },
];

/** Probe at the entry of a function that is not the same in all kernels. */
const at = (name: EventName, symbol: string, args: string): Probe => ({
  name,
  at: 'entry',
  symbol,
  args,
});

const SHARED = 'shared=shared:u8';
const NX_PAGE = `${KVM} sp=sp:x64 spt=sp->spt:x64 ptep=sp->ptep:x64 gfn=sp->gfn:x64`;
const CHANGE = `${KVM} as_id=as_id:s32 gfn=gfn:x64 ${VALUES}`;
const TABLE = 'sp=sp:x64 spt=sp->spt:x64 role=sp->role.word:x32';
const CHANGE_IN_TABLE = `${KVM} ${TABLE} gfn=gfn:x64 ${VALUES}`;

const OF_7: readonly Probe[] = [
  at('chg', '__handle_changed_spte', CHANGE_IN_TABLE),
  at('inval_roots', 'kvm_tdp_mmu_invalidate_roots', KVM),
  at('zap_inval', 'kvm_tdp_mmu_zap_invalidated_roots', `${KVM} ${SHARED}`),
  at('inv_begin', 'kvm_mmu_invalidate_start', `${KVM} ${SEQ}`),
  at('recover_slot', 'kvm_tdp_mmu_recover_huge_pages', `${KVM} ${SLOT}`),
  at('nxzap', 'kvm_tdp_mmu_zap_possible_nx_huge_page', NX_PAGE),
];

const OF_6_12: readonly Probe[] = [
  at('chg', 'handle_changed_spte', CHANGE),
  at('inval_roots', 'kvm_tdp_mmu_invalidate_all_roots', KVM),
  at('zap_inval', 'kvm_tdp_mmu_zap_invalidated_roots', KVM),
  at('inv_begin', 'kvm_mmu_invalidate_begin', `${KVM} ${SEQ}`),
  at('recover_slot', 'kvm_tdp_mmu_zap_collapsible_sptes', `${KVM} ${SLOT}`),
  at('nxzap', 'kvm_tdp_mmu_zap_sp', NX_PAGE),
];

/** Events whose probes 6.18 still has as 6.12, and those for which 6.16 does. */
const OLD_IN_6_18: readonly EventName[] = ['chg', 'inv_begin'];
const OLD_IN_6_16: readonly EventName[] = [...OLD_IN_6_18, 'nxzap'];

/** Probes of 7.x, but those of 6.12 for some events. */
const mixed = (old: readonly EventName[]): readonly Probe[] => [
  ...OF_7.filter(({ name }) => !old.includes(name)),
  ...OF_6_12.filter(({ name }) => old.includes(name)),
];

/** Probes by kernel. Every list was attached to its kernel. */
export const PROBES: Readonly<Record<KernelName, readonly Probe[]>> = {
  '6.1': PROBES_6_1,
  '6.12': [...OF_6_12, ...COMMON],
  '6.16': [...mixed(OLD_IN_6_16), ...COMMON],
  '6.18': [...mixed(OLD_IN_6_18), ...COMMON],
  '7.2': [...OF_7, ...COMMON],
  '7.3': [...OF_7, ...COMMON],
};
