/** The S rules: what the system as a whole owes its guest and its host, whatever the policy. */
import { AGREEMENT_RULES } from './agreement.ts';
import { GUEST_DATA_RULES } from './guest-data.ts';
import { ENTRY_RULES } from './k-entry.ts';
import { REMOVAL_RULES } from './k-removal.ts';
import { TEARDOWN_RULES } from './k-teardown.ts';
import { VM_STATE_RULES } from './k-vm-state.ts';
import { PROGRESS_RULES } from './progress.ts';
import type { VmRule } from './rule.ts';

export const SYSTEM_RULES: readonly VmRule[] = [
  ...AGREEMENT_RULES, ...GUEST_DATA_RULES, ...PROGRESS_RULES,
  ...ENTRY_RULES, ...REMOVAL_RULES, ...TEARDOWN_RULES, ...VM_STATE_RULES,
].toSorted((a, b) => (a.id < b.id ? -1 : 1));
