import {
  ACCESS_TRACKED,
  ACCESSED,
  describeSpte,
  hasVolatileBits,
  isLeafSpte,
  WRITABLE,
  type Spte,
} from '../spte.ts';
import { STORED } from '../tables.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** Aging has changed the leaf, and takes no lock: losing a page's use is accepted (K1). */
const isAged = (before: Spte, after: Spte): boolean =>
  isLeafSpte(before) &&
  isLeafSpte(after) &&
  ((before ^ after) & ~(ACCESSED | ACCESS_TRACKED | WRITABLE)) === 0 &&
  ((before ^ after) === ACCESSED || (after & ACCESS_TRACKED) !== 0);

export default {
  id: 'K3',
  level: 'required',
  statement:
    'An SPTE is written by a plain store only where nothing but aging can write it without ' +
    'mmu_lock; elsewhere by an atomic exchange, whose result is taken as the old value.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: handle_removed_pt(); spte.c: spte_needs_atomic_update(); ' +
    'Documentation/virt/kvm/locking.rst, section 2',
  intent:
    'A plain store can overwrite a D bit or a restored W that appeared after the read, and KVM ' +
    'then misses a dirty page or a flush.',
  hint:
    'Look at plain stores to present leaves: writable, MMU-writable or A/D-enabled leaves need ' +
    'an xchg, and its result must reach handle_changed_spte().',
  versions: ['*'],
  watch: ({ tables, roots }, report) => {
    tables.listeners.push((table, _index, before, _after, how, believed) => {
      if (!isReachable(tables, table)) return;
      report.exercised();
      if (how !== STORED) return;
      if (before !== believed && !isAged(believed, before)) {
        report.violated(
          `a store over ${describeSpte(believed)}, as read before`,
          describeSpte(before),
        );
      } else if (hasVolatileBits(before, roots.adDisabled(tables.rootOf(table)))) {
        report.violated(
          'an exchange, as the entry has bits that others set',
          `a store over ${describeSpte(before)}`,
        );
      }
    });
  },
} satisfies KvmRule;
