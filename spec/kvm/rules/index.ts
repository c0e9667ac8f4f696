/** The K rules that judge direct roots: those about the mirror and the module are in properties/rules/. */
import type { KvmRule } from './rule.ts';

export const KVM_RULES: readonly KvmRule[] = [];
