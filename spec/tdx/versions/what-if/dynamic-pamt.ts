/**
 * What if PAMT were dynamic? A module like 1.5.05 with the feature enabled: the entries of 4K pages
 * exist only for ranges to which the host has added a pair of pages (TDH.PHYMEM.PAMT.ADD, REMOVE),
 * a function that takes a new 4K page requires the pair, DEMOTE takes one, and PROMOTE returns it.
 *
 * Modules with the feature exist; this one is 1.5.05 with what the series states and what the
 * source of a later module has. From the series, not measured. Source: Dynamic PAMT series v2,
 * cover (Jun 2025), v4, patch 7 (Nov 2025), v6
 * (20260526023515.288829-1-rick.p.edgecombe@intel.com); intel/tdx-module 1.5.25 (as kept in
 * murrowow/tdx-concurrency, commit c71d4f6).
 */
import { phymemPamtAdd } from '../../functions/phymem-pamt-add.ts';
import { phymemPamtRemove } from '../../functions/phymem-pamt-remove.ts';
import type { VersionData } from '../../version.ts';
import { V1_5_05 } from '../v1.5.05.ts';

export const DYNAMIC_PAMT: VersionData = {
  ...V1_5_05,
  name: 'dynamic-pamt',
  functions: new Map([
    ...V1_5_05.functions,
    ...[phymemPamtAdd, phymemPamtRemove].map((fn) => [fn.name, fn] as const),
  ]),
  dynamicPamt: true,
};
