/** The S rules: what the system as a whole owes its guest and its host, whatever the policy. */
import { discoverRules } from './discovery.ts';
import type { VmRule } from './rule.ts';

export const SYSTEM_RULES: readonly VmRule[] = await discoverRules(new URL('../', import.meta.url));
