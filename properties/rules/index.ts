/** The S rules, about the system as a whole, and the K rules about mirror and Secure EPT. */
import { discoverRules } from './discovery.ts';
import type { VmRule } from './rule.ts';

/** In order of their ids: of rules that break at one step, the first is reported. */
export const SYSTEM_RULES: readonly VmRule[] = await discoverRules(new URL('../', import.meta.url));
