/**
 * What the monitors see of a run and its trace does not tell, since no probe shows what the rule is
 * about; and what it tells at another time. Both by what a monitor says: expected and seen.
 */
import type { Violation } from '../../spec/machine/rule.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from './rules/index.ts';

interface Row {
  readonly rule: string;
  readonly says: RegExp;
  readonly why: string;
}

/** Never told. */
export const BLIND_SPOTS: readonly Row[] = [
  { rule: 'K1', says: /^an indirect table changed/, why: "the shadow MMU's tables have no probes" },
  {
    rule: 'K2',
    says: /^(a cmpxchg|the entry reread)/,
    why: 'by which instruction an entry is written no event says; a write that is lost breaks the chain',
  },
  {
    rule: 'K3',
    says: /^an exchange, as the entry has bits/,
    why: 'likewise, as long as nothing is lost',
  },
  { rule: 'K5', says: /read section/, why: 'RCU read sections have no probes' },
  {
    rule: 'K12',
    says: /^(the level looked up under mmu_lock|entry \S+ only where the host maps)/,
    why: "the host's own tables have no probes",
  },
  {
    rule: 'K19',
    says: /shadowed, not writable|neither writable nor MMU-writable/,
    why: 'write-protection tells neither slot nor level',
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
    why: 'what is in a TLB, and where the guest gets to by it, no event says',
  },
  { rule: 'K24', says: /in the dirty log/, why: 'the bitmap has no probes' },
  { rule: 'K25', says: /huge again/, why: "the host's own tables have no probes" },
  {
    rule: 'K33',
    says: /asked whether it is obsolete/,
    why: 'a root without a page is in no event',
  },
  {
    rule: 'K35',
    says: /^(no root listed|every kernel page freed)/,
    why: 'what is never freed looks like what is freed when the trace is over',
  },
  {
    rule: 'K37',
    says: /^(a|every) reference to page|^the fault on GFN \d+ ends/,
    why: 'neither references to pages nor why a fault is taken again is told',
  },
  {
    rule: 'K38',
    says: /^(memslots as they were|GFN \d+ being invalidated when its page is released|no invalidation under way)/,
    why: 'neither memslots nor what the host does with its pages is told',
  },
  // of TDs
  {
    rule: 'K52',
    says: /^the state RUNNABLE before pre_fault_allowed/,
    why: 'what KVM publishes in which order is not told',
  },
  { rule: 'K57', says: /^vcpu\d in IN_GUEST_MODE/, why: "a vCPU's mode is not told" },
  {
    rule: 'K62',
    says: /^the vCPU off its processor's list/,
    why: 'the list of associated vCPUs has no probes',
  },
  { rule: 'K62', says: /^PHYMEM.PAGE.WBINVD of the TDR/, why: 'which page is the TDR is not told' },
  {
    rule: 'K67',
    says: /^one folio behind|^the mapping of .* split before its folio/,
    why: 'folios have no probes',
  },
  {
    rule: 'K67',
    says: /split before a part of it is zapped$/,
    why: 'what an operation is asked to zap is not told',
  },
  {
    rule: 'K67',
    says: /^page .* split where vcpu\d accepts/,
    why: 'what a guest wanted to accept is not told',
  },
];

/** Why a trace of the run that ended so is not refused for that; null when it is. */
export function whyUnseen(violation: Violation): string | null {
  if (![...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS].includes(violation.rule))
    return 'it is no rule that traces are judged by';
  return BLIND_SPOTS.find((row) => isIn([row], violation))?.why ?? null;
}

/** Told by what follows, whatever that is. */
export const SHOWN_LATER: readonly Row[] = [
  {
    rule: 'K24',
    says: /flushed before user space goes on/,
    why: 'when the task next takes mmu_lock, or the VM goes',
  },
];

/** Told by what follows, if that is something. */
export const MAY_SHOW_LATER: readonly Row[] = [
  { rule: 'K31', says: /references to new root/, why: 'when they are put' },
  { rule: 'K34', says: /^a valid root for/, why: 'when its vCPU has a fault' },
  { rule: 'K39', says: /^an invalidation of/, why: 'where there is a root to take something from' },
  {
    rule: 'K62',
    says: /^every vCPU flushed|^every other page reclaimed/,
    why: 'when the module has refused it',
  },
];

/** Told by what comes before a monitor sees it. */
export const SHOWN_EARLIER: readonly Row[] = [
  { rule: 'K22', says: /^/, why: 'when the invalidation ends, not when the page is used again' },
  { rule: 'K32', says: /zapped/, why: 'when the zap returns' },
  { rule: 'K34', says: /zapped under invalid root/, why: 'when the invalidation ends' },
  { rule: 'K37', says: /^GFN/, why: 'when the fault begins to map' },
  { rule: 'K38', says: /zapped within/, why: 'when the walk begins' },
  { rule: 'K39', says: /^/, why: 'when the walk begins' },
];

export const isIn = (rows: readonly Row[], { rule, expected, seen }: Violation): boolean =>
  rows.some((row) => row.rule === rule && (row.says.test(expected) || row.says.test(seen)));
