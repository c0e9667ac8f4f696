/**
 * upstream-7: the TDP MMU of an ordinary VM as Linux 7.x has it, built of the steps in tdp-mmu/.
 *
 * Faults, NX recovery, dirty logging and the zapping of invalid roots run with mmu_lock held for
 * read, side by side; notifiers and zaps of ranges hold it for write; aging and fast page faults
 * hold nothing. What makes that safe is that every change under read is a compare-and-exchange,
 * that tables are freed by RCU, and that a table that is no longer linked is frozen, entry by
 * entry, before it is let go (K2, K5, K16).
 */
import { tdpMmu } from '../tdp-mmu/index.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const upstream7: Policy = {
  ...frozenMirror,
  name: 'upstream-7',
  group: 'linux',
  title: 'direct roots: faults side by side, zaps that yield, lockless aging and fast page faults',
  proposed: 'Linux 7.3, arch/x86/kvm/mmu/tdp_mmu.c',
  vms: ['vm'],
  breaks: [],
  never: [],
  direct: tdpMmu,
};

export default upstream7;
