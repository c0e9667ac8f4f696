/**
 * The T rules: what the module guarantees, whatever the VMM does. One file a theme; the catalogue
 * is generated.
 */
import { ENTRY_RULES } from './entries.ts';
import { GUEST_RULES } from './guest.ts';
import { LOCK_RULES } from './locking.ts';
import { PAGE_RULES } from './pages.ts';
import type { TdxRule } from './rule.ts';
import { TRANSLATION_RULES } from './translations.ts';

export const TDX_RULES: readonly TdxRule[] = [
  ...ENTRY_RULES,
  ...TRANSLATION_RULES,
  ...PAGE_RULES,
  ...LOCK_RULES,
  ...GUEST_RULES,
].toSorted((a, b) => (a.id < b.id ? -1 : 1));
