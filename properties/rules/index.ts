/** The S rules: what the system as a whole owes its guest and its host, whatever the policy. */
import { AGREEMENT_RULES } from './agreement.ts';
import { GUEST_DATA_RULES } from './guest-data.ts';
import { PROGRESS_RULES } from './progress.ts';
import type { VmRule } from './rule.ts';

export const SYSTEM_RULES: readonly VmRule[] = [...AGREEMENT_RULES, ...GUEST_DATA_RULES, ...PROGRESS_RULES]
  .toSorted((a, b) => (a.id < b.id ? -1 : 1));
