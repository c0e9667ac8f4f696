/**
 * upstream-6.16: TDX as merged in Linux 6.16, for a TD that runs: the mirror entry is FROZEN around
 * each call (P4), present mirror entries change only with mmu_lock held for write (P5), local retry
 * (P7), one kick on BUSY (P8), a memslot is deleted leaf by leaf (P12), the order of teardown
 * (P16). It satisfies every rule about a TD that runs.
 *
 * It contains later fixes, because the bugs that they fix are mutants: the retry loop ends when its
 * memslot is deleted (6.18, B-54), a vCPU leaves its processor's list before it is freed (6.19,
 * B-59), an abandoned VP.ENTER leaves no exit behind (2026, B-72), a page whose removal failed is
 * leaked, and the VM killed once (6.19, B-61).
 *
 * The way in which 6.16 builds a TD is the policy premap-then-add (P13).
 */
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const upstream616: Policy = {
  ...frozenMirror,
  name: 'upstream-6.16',
  group: 'linux',
  title: 'Linux 6.16 with later fixes, for TDs that run: P4, P5, P7, P8, P12, P16',
  proposed: 'Linux 6.16, arch/x86/kvm/mmu/tdp_mmu.c and arch/x86/kvm/vmx/tdx.c',
};

export default upstream616;
