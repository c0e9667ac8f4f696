/** Every alteration of a capture, each with the rule that it breaks. */
import type { Alteration } from './edits.ts';
import { ENTRIES } from './entries.ts';
import { FLUSHES } from './flushes.ts';
import { FREED_TABLES } from './freed-tables.ts';
import { INVALIDATIONS } from './invalidations.ts';
import { LINKED_TABLES } from './linked-tables.ts';
import { LOCKS } from './locks.ts';
import { LOGGING } from './logging.ts';
import { ROOTS } from './roots.ts';

export const ALTERATIONS: readonly Alteration[] = [
  ...LOCKS,
  ...ENTRIES,
  ...LINKED_TABLES,
  ...FREED_TABLES,
  ...ROOTS,
  ...FLUSHES,
  ...INVALIDATIONS,
  ...LOGGING,
];
