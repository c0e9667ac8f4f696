/**
 * The S rules, what the system as a whole owes its guest and its host, whatever the policy; and the K rules, by which
 * KVM keeps that promise.
 */
import { AGREEMENT_RULES } from './agreement.ts';
import { GUEST_DATA_RULES } from './guest-data.ts';
import { HUGE_PAGE_RULES } from './k-huge-pages.ts';
import { MIRROR_RULES } from './k-mirror.ts';
import { PAMT_RULES } from './k-pamt.ts';
import { LEAVING_RULES } from './k-leaving.ts';
import { PROGRESS_RULES } from './progress.ts';
import type { VmRule } from './rule.ts';

export const SYSTEM_RULES: readonly VmRule[] = [
  ...AGREEMENT_RULES, ...GUEST_DATA_RULES, ...PROGRESS_RULES,
  ...MIRROR_RULES, ...LEAVING_RULES, ...HUGE_PAGE_RULES, ...PAMT_RULES,
].toSorted((a, b) => (a.id < b.id ? -1 : 1));
