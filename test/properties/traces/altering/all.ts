/** All alterations of traces, by subject. */
import type { Alteration } from './edits.ts';
import { ENTRIES } from './entries.ts';
import { INVALIDATIONS } from './invalidations.ts';
import { LOCKS } from './locks.ts';
import { LOGGING } from './logging.ts';
import { ROOTS } from './roots.ts';
import { TABLES } from './tables.ts';

export const ALTERATIONS: readonly Alteration[] = [
  ...LOCKS,
  ...ENTRIES,
  ...TABLES,
  ...ROOTS,
  ...INVALIDATIONS,
  ...LOGGING,
];
