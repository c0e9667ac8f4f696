/** The probes of Linux 6.1, which has no BTF: values are fetched from registers. */
import type { Probe } from './probe.ts';

export const PROBES_6_1: readonly Probe[] = [
  {
    name: 'chg',
    at: 'entry',
    symbol: '__handle_changed_spte',
    args:
      'kvm=%di:x64 as_id=%si:s32 gfn=%dx:x64 old=%cx:x64 new=%r8:x64 ' +
      'level=%r9:s32 shared=+8(%sp):u8',
  },
  { name: 'rl', at: 'entry', symbol: '_raw_read_lock', args: 'lock=%di:x64' },
  { name: 'rl_ret', at: 'return', symbol: '_raw_read_lock', args: '' },
  { name: 'ru', at: 'entry', symbol: '_raw_read_unlock', args: 'lock=%di:x64' },
  { name: 'wl', at: 'entry', symbol: '_raw_write_lock', args: 'lock=%di:x64' },
  { name: 'wl_ret', at: 'return', symbol: '_raw_write_lock', args: '' },
  { name: 'wu', at: 'entry', symbol: '_raw_write_unlock', args: 'lock=%di:x64' },
  { name: 'map', at: 'entry', symbol: 'kvm_tdp_mmu_map', args: 'vcpu=%di:x64 fault=%si:x64' },
  { name: 'map_ret', at: 'return', symbol: 'kvm_tdp_mmu_map', args: 'ret=$retval:s32' },
  { name: 'link_sp', at: 'entry', symbol: 'tdp_mmu_link_sp', args: 'kvm=%di:x64' },
  {
    name: 'free_rcu',
    at: 'entry',
    symbol: 'tdp_mmu_free_sp_rcu_callback',
    args: 'head=%di:x64 spt=-0x78(%di):x64',
  },
  {
    name: 'put_root',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_put_root',
    args: 'kvm=%di:x64 root=%si:x64 shared=%dx:u8',
  },
  {
    name: 'inval_roots',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_invalidate_all_roots',
    args: 'kvm=%di:x64',
  },
  {
    name: 'zap_inval',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_zap_invalidated_roots',
    args: 'kvm=%di:x64',
  },
  { name: 'zap_all', at: 'entry', symbol: 'kvm_tdp_mmu_zap_all', args: 'kvm=%di:x64' },
  {
    name: 'zap_pass',
    at: 'entry',
    symbol: '__tdp_mmu_zap_root',
    args: 'kvm=%di:x64 root=%si:x64 shared=%dx:u8 zap_level=%cx:s32',
  },
  {
    name: 'zap_leafs',
    at: 'entry',
    symbol: 'tdp_mmu_zap_leafs',
    args: 'kvm=%di:x64 root=%si:x64 start=%dx:x64 end=%cx:x64 can_yield=%r8:u8 flush=%r9:u8',
  },
  { name: 'unmap_range', at: 'entry', symbol: 'kvm_tdp_mmu_unmap_gfn_range', args: 'kvm=%di:x64' },
  {
    name: 'inv_begin',
    at: 'entry',
    symbol: 'kvm_mmu_invalidate_begin',
    args: 'kvm=%di:x64 start=%si:x64 end=%dx:x64',
  },
  {
    name: 'inv_end',
    at: 'entry',
    symbol: 'kvm_mmu_invalidate_end',
    args: 'kvm=%di:x64 start=%si:x64 end=%dx:x64',
  },
  { name: 'flush', at: 'entry', symbol: 'kvm_flush_remote_tlbs', args: 'kvm=%di:x64' },
  { name: 'flush_ret', at: 'return', symbol: 'kvm_flush_remote_tlbs', args: '' },
  { name: 'wrprot_slot', at: 'entry', symbol: 'kvm_tdp_mmu_wrprot_slot', args: 'kvm=%di:x64' },
  {
    name: 'cleardirty_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_clear_dirty_slot',
    args: 'kvm=%di:x64',
  },
  {
    name: 'cleardirty_pt',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_clear_dirty_pt_masked',
    args: 'kvm=%di:x64 gfn=%dx:x64 mask=%cx:x64',
  },
  {
    name: 'split_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_try_split_huge_pages',
    args: 'kvm=%di:x64',
  },
  {
    name: 'collapse_slot',
    at: 'entry',
    symbol: 'kvm_tdp_mmu_zap_collapsible_sptes',
    args: 'kvm=%di:x64',
  },
];
