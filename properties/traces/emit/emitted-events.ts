/** The events by which the run of a VM is told, by its kind. */
import type { VmKind } from '../../../impl/vm/vm.ts';
import { TDX_EVENTS, type EventName } from '../reader/event-table.ts';

/** All but the hook that tables had of their own before 7.2. */
const OF_TDS: readonly EventName[] = [
  ...TDX_EVENTS.filter((name) => !name.startsWith('tdx_sept_link')),
  'chg', 'init_sp', 'free_rcu', 'vm_init', 'alloc_root', 'rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu', 'kvm_entry', 'kvm_exit',
];

export const TOLD: Readonly<Record<VmKind, readonly EventName[]>> = {
  td: OF_TDS,
  'new-td': OF_TDS,
  vm: [
    'vm_init', 'vm_uninit', 'chg', 'kvm_tdp_mmu_spte_changed', 'fast_page_fault', 'rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu',
    'map', 'map_ret', 'fpf', 'fpf_ret', 'kvm_entry', 'kvm_exit', 'hwflush', 'loadmmu', 'freeobs', 'init_sp', 'link_sp',
    'free_rcu', 'alloc_root', 'put_root', 'inval_roots', 'zap_inval', 'zap_inval_ret', 'zap_root', 'zap_root_ret', 'zap_pass',
    'zap_leafs', 'zap_leafs_ret', 'unmap_gfn_range', 'unmap_range', 'unmap_range_ret', 'inv_add', 'inv_end', 'mn_start', 'mn_end',
    'age', 'flush', 'flush_ret', 'flush_range', 'flush_range_ret', 'wrprot_slot', 'cleardirty_slot', 'cleardirty_pt', 'wp_gfn',
    'split_slot', 'recover_slot', 'nxzap',
  ],
};
