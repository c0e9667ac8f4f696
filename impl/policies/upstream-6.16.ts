/**
 * upstream-6.16: TDX as merged in Linux 6.16, for a TD that runs: freeze the mirror entry around
 * each call (P4), present mirror entries change under mmu_lock held for write only (P5), local
 * retry (P7), one kick on BUSY (P8), memslots are deleted leaf by leaf (P12), the order of the end
 * (P16). Satisfies every rule about a TD that runs.
 *
 * Contains fixes that came later, because what they fix is listed as bugs of their own: the retry
 * loop leaves when its memslot goes (6.18, B-54), a vCPU is off its processor's list before it is
 * freed (6.19, B-59), an entry that is given up leaves no exit behind (2026, B-72), a page whose
 * removal failed is leaked, and the VM ended once (6.19, B-61).
 *
 * How 6.16 builds a TD is a policy of its own, premap-then-add (P13): it breaks K63 until 6.19.
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
