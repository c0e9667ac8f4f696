/** Definitions of the probes that a trace needs, as text, each with the rules that need it. */
import type { KernelName } from './kernels/names.ts';
import type { Probe } from './kernels/probe.ts';
import { PROBES } from './kernels/probes.ts';
import { TDX_NOTES, TDX_PROBES } from './kernels/tdx-probes.ts';
import { TDX_EVENTS, type EventName } from './reader/event-table.ts';
import { TDX_TRACE_RULE_IDS, TDX_TRACE_RULES, TRACE_RULE_IDS, TRACE_RULES } from './rules/index.ts';

/** Events that are printed together. Those that no rule needs show the context of the others. */
interface Group {
  readonly what: string;
  readonly events: readonly EventName[];
}

const GROUPS: readonly Group[] = [
  { what: 'changes of SPTEs', events: ['chg'] },
  {
    what: 'acquisition and release of locks',
    events: ['rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu'],
  },
  { what: 'faults that install SPTEs', events: ['map', 'map_ret', 'fpf', 'fpf_ret'] },
  {
    what: 'tables and roots, from allocation to free',
    events: [
      'init_sp',
      'link_sp',
      'free_rcu',
      'alloc_root',
      'put_root',
      'inval_roots',
      'zap_inval',
      'zap_inval_ret',
      'zap_all',
      'zap_root',
      'zap_root_ret',
      'zap_pass',
      'zap_leafs',
      'zap_leafs_ret',
      'vm_init',
      'vm_uninit',
    ],
  },
  {
    what: 'invalidations and their sequence numbers',
    events: [
      'unmap_gfn_range',
      'unmap_range',
      'unmap_range_ret',
      'inv_begin',
      'inv_add',
      'inv_end',
      'mn_start',
      'mn_end',
      'mn_unmap',
      'mn_release',
      'mn_clear_young',
      'mn_clear_flush_young',
      'age',
    ],
  },
  {
    what: 'TLB flushes',
    events: ['flush', 'flush_ret', 'flush_range', 'flush_range_ret', 'flush_slot'],
  },
  {
    what: 'dirty logging, splits, merges, NX recovery',
    events: [
      'wrprot_slot',
      'cleardirty_slot',
      'cleardirty_pt',
      'wp_gfn',
      'split_slot',
      'recover_slot',
      'collapse_slot',
      'nxzap',
    ],
  },
  {
    what: 'roots that vCPUs load, and TLBs that they flush',
    events: ['hwflush', 'loadmmu', 'freeobs'],
  },
];

/** Groups for TDX hosts. */
const TDX_GROUPS: readonly Group[] = [
  {
    what: 'calls of the TDX module and their statuses',
    events: TDX_EVENTS.filter((name) => name.startsWith('tdh_')),
  },
  {
    what: 'KVM around these calls',
    events: TDX_EVENTS.filter((name) => !name.startsWith('tdh_')),
  },
];

/** Tracepoints of KVM that need no probe. */
export const TRACEPOINTS: readonly { readonly system: string; readonly event: EventName }[] = [
  { system: 'kvmmmu', event: 'kvm_tdp_mmu_spte_changed' },
  { system: 'kvmmmu', event: 'fast_page_fault' },
  { system: 'kvmmmu', event: 'kvm_mmu_set_spte' },
  { system: 'kvm', event: 'kvm_entry' },
  { system: 'kvm', event: 'kvm_exit' },
  { system: 'kvm', event: 'kvm_userspace_exit' },
];

/** Maximum number of calls of a function that are active when its return is probed. */
const MAX_ACTIVE = 64;
const PREFIX = { entry: 'p', return: `r${MAX_ACTIVE}`, fprobe: 'f' } as const;
const LOCKS: ReadonlySet<EventName> = new Set(['rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu']);

/** Groups of the events of a capture. Those of locks have their own, as a user may filter them. */
interface Groups {
  readonly probes: string;
  readonly locks: string;
}

const OWN_GROUPS: Groups = { probes: 'kv', locks: 'lk' };

/** One line for `dynamic_events` of tracefs. */
export function definitionOf({ name, at, symbol, args }: Probe, groups = OWN_GROUPS): string {
  const group = LOCKS.has(name) ? groups.locks : groups.probes;
  return `${PREFIX[at]}:${group}/${name} ${symbol} ${args}`.trimEnd();
}

/** Ids of the rules that cannot be judged without an event. */
export const rulesThatNeed = (name: EventName): readonly string[] =>
  [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS].filter((id) =>
    [...TRACE_RULES, ...TDX_TRACE_RULES].some(
      (rule) => rule.id === id && rule.needs.includes(name),
    ),
  );

/**
 * Text of the probes for `kernel`: lines to append one by one to the file `dynamic_events` of
 * tracefs, which ignores those that begin with #. `tdx` adds the probes of a TDX host.
 */
export function probesFor(kernel: KernelName, tdx = false): string {
  const head =
    `# Linux ${kernel}, for sept trace. ` +
    'The comment before a probe lists the rules that need it.';
  const tdxLines = tdx
    ? [...definitionsOf(TDX_GROUPS, TDX_PROBES), ...TDX_NOTES.map((note) => `# ${note}`)]
    : [];
  return [head, ...definitionsOf(GROUPS, PROBES[kernel]), ...tdxLines].join('\n');
}

function definitionsOf(groups: readonly Group[], all: readonly Probe[]): string[] {
  return groups.flatMap(({ what, events }) => {
    const probes = events.flatMap((event) => all.filter(({ name }) => name === event));
    return probes.length === 0 ? [] : [`# --- ${what}`, ...probes.flatMap(linesOf)];
  });
}

function linesOf(probe: Probe): string[] {
  const rules = rulesThatNeed(probe.name);
  return [
    ...(rules.length === 0 ? [] : [`# ${probe.name}: ${rules.join(', ')}`]),
    definitionOf(probe),
  ];
}
