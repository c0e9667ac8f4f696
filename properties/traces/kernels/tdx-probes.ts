/**
 * Additional probes of a host with TDs: KVM's wrappers of the module's calls, its hook that changes
 * the Secure EPT, and exits and faults of vCPUs. Source: arch/x86/virt/vmx/tdx/tdx.c and
 * arch/x86/kvm/vmx/tdx.c of Linux 7.x, by reading; no recording is of such a host.
 */
import type { CallName } from '../reader/event-table.ts';
import type { Probe } from './probe.ts';

const TD = 'td=td:x64';
const ENTRY = `${TD} gpa=gpa:x64 level=level:s32`;

/** KVM's wrappers: event, values fetched at the entry, and the function if its name differs. */
const WRAPPERS: readonly (readonly [name: CallName, args: string, symbol?: string])[] = [
  ['tdh_mem_sept_add', `${ENTRY} page=page:x64`],
  ['tdh_mem_page_add', `${TD} gpa=gpa:x64 pfn=pfn:x64 source=source:x64`],
  ['tdh_mem_page_aug', `${ENTRY} pfn=pfn:x64`],
  ['tdh_mem_range_block', ENTRY],
  ['tdh_mem_track', TD],
  ['tdh_mem_page_remove', ENTRY],
  ['tdh_mr_finalize', TD],
  ['tdh_mng_vpflushdone', TD],
  ['tdh_mng_key_freeid', TD],
  ['tdh_phymem_page_wbinvd', 'pfn=pfn:x64', 'tdh_phymem_page_wbinvd_hkid'],
  ['tdh_phymem_cache_wb', ''],
  ['tdh_phymem_page_reclaim', 'page=page:x64'],
];

const VCPU = 'vcpu=vcpu:x64';

export const TDX_PROBES: readonly Probe[] = [
  ...WRAPPERS.flatMap(([name, args, symbol = name]): Probe[] => [
    { name, at: 'entry', symbol, args },
    { name: `${name}_ret`, at: 'return', symbol, args: 'status=$retval:x64' },
  ]),
  {
    name: 'tdx_sept_set_private_spte',
    at: 'entry',
    symbol: 'tdx_sept_set_private_spte',
    args: 'kvm=kvm:x64 gfn=gfn:x64 level=level:s32',
  },
  {
    name: 'tdx_sept_set_private_spte_ret',
    at: 'return',
    symbol: 'tdx_sept_set_private_spte',
    args: 'ret=$retval:s32',
  },
  {
    name: 'request',
    at: 'entry',
    symbol: 'kvm_make_all_cpus_request',
    args: 'kvm=kvm:x64 req=req:x32',
  },
  { name: 'tdx_handle_exit', at: 'entry', symbol: 'tdx_handle_exit', args: VCPU },
  { name: 'tdx_handle_exit_ret', at: 'return', symbol: 'tdx_handle_exit', args: 'ret=$retval:s32' },
  {
    name: 'tdp_fault',
    at: 'entry',
    symbol: 'kvm_tdp_page_fault',
    args: `${VCPU} kvm=vcpu->kvm:x64 gfn=fault->gfn:x64`,
  },
  { name: 'has_events_ret', at: 'return', symbol: 'kvm_vcpu_has_events', args: 'ret=$retval:u8' },
  {
    name: 'slot',
    at: 'entry',
    symbol: 'kvm_arch_flush_shadow_memslot',
    args: 'kvm=kvm:x64 gfn=slot->base_gfn:x64 n=slot->npages:x64',
  },
  { name: 'slot_ret', at: 'return', symbol: 'kvm_arch_flush_shadow_memslot', args: '' },
  { name: 'reset_page', at: 'entry', symbol: 'tdx_quirk_reset_page', args: 'page=page:x64' },
];

/** Notes for `sept probes`: events that cannot be probed, or that only some kernels have. */
export const TDX_NOTES: readonly string[] = [
  'tdh_vp_enter takes no probe (noinstr): kvm_entry and kvm_exit show when a vCPU may be inside',
  'if the kernel splits or merges large pages of TDs: tdh_mem_page_demote, tdh_mem_page_promote',
  '6.16 to 6.18 only: bar is tdx_no_vcpus_enter_start, and unbar is tdx_no_vcpus_enter_stop',
  'before 7.2, a separate hook links tables: tdx_sept_link_private_spt',
  'before 7.0, the wrappers count levels from 0 (tdx_level=level:s32), and take page=page:x64',
];
