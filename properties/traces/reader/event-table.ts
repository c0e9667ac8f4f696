/**
 * The events that judges of traces read, of all kernels. Other events are counted and skipped. The
 * names are those of docs/capture.md.
 */
import { hashOfText } from './keys.ts';

/**
 * Form of the text after the name: `(function) key=value …`, words followed by values, or text that
 * is not read.
 */
type Form = 'probe' | 'words' | 'ignored';

/** Calls of the TDX module by KVM's wrappers. Each has an event at its beginning and its end. */
const CALLS = [
  'tdh_mem_sept_add',
  'tdh_mem_page_add',
  'tdh_mem_page_aug',
  'tdh_mem_range_block',
  'tdh_mem_range_unblock',
  'tdh_mem_track',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  'tdh_mem_page_demote',
  'tdh_mem_page_promote',
  'tdh_mr_finalize',
  'tdh_mng_vpflushdone',
  'tdh_mng_key_freeid',
  'tdh_phymem_page_wbinvd',
  'tdh_phymem_cache_wb',
  'tdh_phymem_page_reclaim',
  'tdh_vp_enter',
] as const;
export type CallName = (typeof CALLS)[number];
export const CALL_NAMES: readonly CallName[] = CALLS;

/** Other events of hosts with TDs only. */
const OF_TDX_HOSTS = {
  // KVM's hook that changes the Secure EPT; the mirror entry is FROZEN, or mmu_lock held for write
  tdx_sept_set_private_spte: 'probe',
  tdx_sept_set_private_spte_ret: 'probe',
  tdx_sept_link_private_spt: 'probe',
  tdx_sept_link_private_spt_ret: 'probe',
  // vCPUs barred from entering, and allowed again
  bar: 'probe',
  unbar: 'probe',
  // exits and faults
  tdx_handle_exit: 'probe',
  tdx_handle_exit_ret: 'probe',
  tdp_fault: 'probe',
  has_events_ret: 'probe',
  kvm_userspace_exit: 'words',
  // requests to all vCPUs, deletions of memslots, pages that the host uses as its own memory
  request: 'probe',
  slot: 'probe',
  slot_ret: 'probe',
  reset_page: 'probe',
} as const satisfies Record<string, Form>;

const EVENTS = {
  // changes of SPTEs: a probe or tracepoint wherever KVM writes one
  chg: 'probe',
  kvm_tdp_mmu_spte_changed: 'words',
  fast_page_fault: 'words',
  kvm_mmu_set_spte: 'words',
  // locks
  rl: 'probe',
  rl_ret: 'probe',
  ru: 'probe',
  wl: 'probe',
  wl_ret: 'probe',
  wu: 'probe',
  // faults and vCPUs
  map: 'probe',
  map_ret: 'probe',
  fpf: 'probe',
  fpf_ret: 'probe',
  kvm_entry: 'words',
  kvm_exit: 'words',
  hwflush: 'probe',
  loadmmu: 'probe',
  freeobs: 'probe',
  kvm_page_fault: 'ignored',
  // tables and roots
  init_sp: 'probe',
  link_sp: 'probe',
  free_rcu: 'probe',
  alloc_root: 'probe',
  put_root: 'probe',
  inval_roots: 'probe',
  zap_inval: 'probe',
  zap_inval_ret: 'probe',
  zap_all: 'probe',
  zap_root: 'probe',
  zap_root_ret: 'probe',
  zap_pass: 'probe',
  zap_leafs: 'probe',
  zap_leafs_ret: 'probe',
  vm_init: 'probe',
  vm_uninit: 'probe',
  kvm_mmu_get_page: 'ignored',
  kvm_mmu_prepare_zap_page: 'ignored',
  kvm_mmu_zap_all_fast: 'ignored',
  // the primary MMU's notifiers
  unmap_gfn_range: 'probe',
  unmap_range: 'probe',
  unmap_range_ret: 'probe',
  inv_begin: 'probe',
  inv_add: 'probe',
  inv_end: 'probe',
  mn_start: 'probe',
  mn_end: 'probe',
  mn_unmap: 'probe',
  mn_release: 'ignored',
  mn_clear_young: 'ignored',
  mn_clear_flush_young: 'ignored',
  age: 'probe',
  kvm_unmap_hva_range: 'ignored',
  kvm_age_hva: 'ignored',
  kvm_test_age_hva: 'ignored',
  // flushes
  flush: 'probe',
  flush_ret: 'probe',
  flush_range: 'probe',
  flush_range_ret: 'probe',
  flush_slot: 'probe',
  // logging, huge pages
  wrprot_slot: 'probe',
  cleardirty_slot: 'probe',
  cleardirty_pt: 'probe',
  wp_gfn: 'probe',
  split_slot: 'probe',
  recover_slot: 'probe',
  collapse_slot: 'probe',
  nxzap: 'probe',
  kvm_mmu_split_huge_page: 'ignored',
  // known, but no rule and no state needs them
  kvm_mmu_spte_requested: 'ignored',
  mark_mmio_spte: 'ignored',
  check_mmio_spte: 'ignored',
  handle_mmio_page_fault: 'ignored',
  kvm_mmio: 'ignored',
  contention_begin: 'ignored',
  contention_end: 'ignored',
} as const satisfies Record<string, Form>;

export type EventName =
  | keyof typeof EVENTS
  | keyof typeof OF_TDX_HOSTS
  | CallName
  | `${CallName}_ret`;

export interface EventKind {
  readonly name: EventName;
  readonly form: Form;
  /** Index of the kind, for tables by kind. */
  readonly id: number;
}

/** Events of hosts with TDs only. */
export const TDX_EVENTS: readonly EventName[] = [
  ...CALLS,
  ...CALLS.map((name) => `${name}_ret` as const),
  ...(Object.keys(OF_TDX_HOSTS) as (keyof typeof OF_TDX_HOSTS)[]), // Object.keys returns strings
];

const FORMS: Readonly<Record<string, Form>> = { ...EVENTS, ...OF_TDX_HOSTS };

export const EVENT_KINDS: readonly EventKind[] = [
  ...(Object.keys(EVENTS) as EventName[]), // Object.keys returns strings
  ...TDX_EVENTS,
].map((name, id) => ({ name, form: FORMS[name] ?? 'probe', id }));

/** Kinds by the hash of their name. */
export const KIND_BY_HASH: ReadonlyMap<number, EventKind> = new Map(
  EVENT_KINDS.map((kind) => [hashOfText(kind.name), kind]),
);
