/**
 * K rules without a monitor in rules/, with the reason; and violations of the other rules that the
 * monitors of spec/kvm and properties/rules see, but that no probe exposes, or that a trace shows
 * at another event.
 */
import type { Violation } from '../../spec/machine/rule.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from './rules/index.ts';

/** Why traces are not judged by a K rule. */
interface NoMonitor {
  readonly rule: string;
  readonly why: string;
}

/** K rules without a monitor in rules/. */
export const NO_MONITOR: readonly NoMonitor[] = [
  { rule: 'K4', why: 'the lists and tdp_mmu_pages_lock have no probes' },
  { rule: 'K6', why: 'no event shows that a walk reads an entry' },
  { rule: 'K7', why: 'the shadow MMU has no probes' },
  { rule: 'K11', why: 'no event shows the entry that a fault reads' },
  { rule: 'K14', why: 'the list of possible NX huge pages has no probes' },
  { rule: 'K15', why: 'no event shows the entry that a fault reads' },
  { rule: 'K27', why: 'no event shows that a walk offers to yield' },
  { rule: 'K28', why: 'no event shows the GFN at which a walk restarts' },
  { rule: 'K29', why: 'references to a root are recorded only when one is put' },
  { rule: 'K30', why: 'no event shows whether the caller of a walk allows it to yield' },
  { rule: 'K36', why: "no event shows the width of the host's physical addresses" },
  { rule: 'K40', why: 'memory attributes have no probes' },
  { rule: 'K41', why: 'the check for invalidations before mmu_lock has no probe' },
  { rule: 'K42', why: 'SRCU read sections have no probes' },
  // rules about TDs
  { rule: 'K43', why: 'memory attributes have no probes' },
  { rule: 'K60', why: 'no event shows which pages a guest has accepted' },
  { rule: 'K61', why: 'lookups of pages in the host have no probes' },
  { rule: 'K63', why: 'locks other than mmu_lock have no probes' },
  { rule: 'K64', why: 'the counter of premapped leaves has no probe' },
  { rule: 'K68', why: 'PAMT pages have no probes' },
];

/** A violation as a monitor words it: `says` matches what it expected or what it saw. */
interface Row {
  readonly rule: string;
  readonly says: RegExp;
  readonly why: string;
}

/** Violations that no trace shows. */
export const BLIND_SPOTS: readonly Row[] = [
  { rule: 'K1', says: /^an indirect table changed/, why: "the shadow MMU's tables have no probes" },
  {
    rule: 'K2',
    says: /^(a cmpxchg|the entry reread)/,
    why: 'no event shows how an entry is written; only a lost write breaks its chain',
  },
  {
    rule: 'K3',
    says: /^an exchange, as the entry has bits/,
    why: 'no event shows how an entry is written; only a lost write breaks its chain',
  },
  { rule: 'K5', says: /read section/, why: 'RCU read sections have no probes' },
  {
    rule: 'K12',
    says: /^(the level looked up under mmu_lock|entry \S+ only where the host maps)/,
    why: "the host's page tables have no probes",
  },
  {
    rule: 'K19',
    says: /shadowed, not writable|neither writable nor MMU-writable/,
    why: 'events of write-protection show neither slot nor level',
  },
  {
    rule: 'K22',
    says: /a shadow entry maps it|no shadow page accounted/,
    why: "the shadow MMU's tables have no probes",
  },
  { rule: 'K22', says: /bound to no file/, why: 'guest_memfd has no probes' },
  { rule: 'K22', says: /looked up in address space/, why: 'lookups of memslots have no probes' },
  {
    rule: 'K22',
    says: /in its TLB|reaches the page/,
    why: 'no event shows what a TLB holds, or which page the guest reaches through it',
  },
  { rule: 'K24', says: /in the dirty log/, why: 'the dirty bitmap has no probes' },
  { rule: 'K25', says: /huge again/, why: "the host's page tables have no probes" },
  {
    rule: 'K33',
    says: /asked whether it is obsolete/,
    why: 'no event shows a root without a page',
  },
  {
    rule: 'K35',
    says: /^(no root listed|every kernel page freed)/,
    why: 'a page that is never freed cannot be distinguished from one freed after the trace',
  },
  {
    rule: 'K37',
    says: /^(a|every) reference to page|^the fault on GFN \d+ ends/,
    why: 'no event shows references to pages, or why a fault is retried',
  },
  {
    rule: 'K38',
    says: /^(memslots as they were|no invalidation under way)/,
    why: 'no event shows the memslots',
  },
  {
    rule: 'K38',
    says: /^GFN \d+ being invalidated when its page is released/,
    why: 'no event shows what the host does with its pages',
  },
  // rules about TDs
  {
    rule: 'K52',
    says: /^the state RUNNABLE before pre_fault_allowed/,
    why: 'no event shows the order in which KVM publishes its state',
  },
  { rule: 'K57', says: /^vcpu\d in IN_GUEST_MODE/, why: 'no event shows the mode of a vCPU' },
  {
    rule: 'K62',
    says: /^the vCPU off its processor's list/,
    why: 'the list of associated vCPUs has no probes',
  },
  {
    rule: 'K62',
    says: /^PHYMEM.PAGE.WBINVD of the TDR/,
    why: 'no event shows which page is the TDR',
  },
  {
    rule: 'K67',
    says: /^one folio behind|^the mapping of .* split before its folio/,
    why: 'folios have no probes',
  },
  {
    rule: 'K67',
    says: /split before a part of it is zapped$/,
    why: 'no event shows the range that an operation has to zap',
  },
  {
    rule: 'K67',
    says: /^page .* split where vcpu\d accepts/,
    why: 'no event shows the page that a guest wanted to accept',
  },
];

/** Why `sept trace` does not report `violation` for a trace of its run; null if it does. */
export function whyUnseen(violation: Violation): string | null {
  const { rule } = violation;
  if (![...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS].includes(rule))
    return NO_MONITOR.find((row) => row.rule === rule)?.why ?? 'it judges K rules only';
  return BLIND_SPOTS.find((row) => isIn([row], violation))?.why ?? null;
}

/** Violations that a later event always shows: `why` says which. */
export const SHOWN_LATER: readonly Row[] = [
  {
    rule: 'K24',
    says: /flushed before user space goes on/,
    why: 'when the task next acquires mmu_lock, or the VM is destroyed',
  },
];

/** Violations that a later event shows, if there is one: `why` says which. */
export const MAY_SHOW_LATER: readonly Row[] = [
  { rule: 'K31', says: /references to new root/, why: 'when they are put' },
  { rule: 'K34', says: /^a valid root for/, why: 'when its vCPU has a fault' },
  { rule: 'K39', says: /^an invalidation of/, why: 'when there is a root to zap from' },
  {
    rule: 'K62',
    says: /^every vCPU flushed|^every other page reclaimed/,
    why: 'when the module refuses the call',
  },
];

/** Violations that an event shows before a monitor sees them: `why` says which. */
export const SHOWN_EARLIER: readonly Row[] = [
  { rule: 'K22', says: /^/, why: 'when the invalidation ends, not when the page is reused' },
  { rule: 'K32', says: /zapped/, why: 'when the zap returns' },
  { rule: 'K34', says: /zapped under invalid root/, why: 'when the invalidation ends' },
  { rule: 'K37', says: /^GFN/, why: 'when the fault begins to map' },
  { rule: 'K38', says: /zapped within/, why: 'when the walk begins' },
  { rule: 'K39', says: /^/, why: 'when the walk begins' },
];

/** Whether one of `rows` matches the violation. */
export const isIn = (rows: readonly Row[], { rule, expected, seen }: Violation): boolean =>
  rows.some((row) => row.rule === rule && (row.says.test(expected) || row.says.test(seen)));
