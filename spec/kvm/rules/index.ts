/** K rules about direct roots. Those about the mirror and the TDX module: properties/rules/. */
import k01 from './k01-written-under-mmu-lock.ts';
import k02 from './k02-cmpxchg-under-read.ts';
import k03 from './k03-exchange-where-hardware-writes.ts';
import k04 from './k04-lists-under-pages-lock.ts';
import k05 from './k05-tables-freed-by-rcu.ts';
import k06 from './k06-walk-restarts-after-yield.ts';
import k07 from './k07-write-lock-where-needed.ts';
import k08 from './k08-no-leaf-to-another-leaf.ts';
import k09 from './k09-non-present-transitions.ts';
import k10 from './k10-frozen-has-an-owner.ts';
import k11 from './k11-fault-retries-on-frozen.ts';
import k12 from './k12-level-within-host-mapping.ts';
import k13 from './k13-table-complete-before-linked.ts';
import k14 from './k14-nx-list-membership.ts';
import k15 from './k15-spurious-fault-changes-nothing.ts';
import k16 from './k16-unlinked-table-unmappable.ts';
import k17 from './k17-tables-do-not-move.ts';
import k18 from './k18-nx-recovery-rereads.ts';
import k19 from './k19-shadowed-page-read-only.ts';
import k20 from './k20-flush-before-unlock.ts';
import k21 from './k21-flush-covers-range.ts';
import k22 from './k22-nothing-left-after-unmap.ts';
import k23 from './k23-invalid-root-leaves-guests.ts';
import k24 from './k24-dirty-log-complete.ts';
import k25 from './k25-collapse-flushed.ts';
import k26 from './k26-zapped-root-empty.ts';
import k27 from './k27-walk-offers-to-yield.ts';
import k28 from './k28-yield-resumes-at-gfn.ts';
import k29 from './k29-walk-holds-root.ts';
import k30 from './k30-yield-only-if-allowed.ts';
import k31 from './k31-root-reference-counts.ts';
import k32 from './k32-invalid-root-zapped.ts';
import k33 from './k33-no-install-under-invalid-root.ts';
import k34 from './k34-valid-roots-for-vcpus.ts';
import k35 from './k35-nothing-left-of-vm.ts';
import k36 from './k36-gfn-addressable.ts';
import k37 from './k37-stale-fault-retries.ts';
import k38 from './k38-invalidation-pairs.ts';
import k39 from './k39-zap-is-invalidation.ts';
import k40 from './k40-conversion-covers-huge-pages.ts';
import k41 from './k41-fault-yields-to-invalidation.ts';
import k42 from './k42-retry-ends-with-memslot.ts';
import type { KvmRule } from './rule.ts';

/** In order of their numbers: of rules that break at one step, the first is reported. */
export const KVM_RULES: readonly KvmRule[] = [
  k01,
  k02,
  k03,
  k04,
  k05,
  k06,
  k07,
  k08,
  k09,
  k10,
  k11,
  k12,
  k13,
  k14,
  k15,
  k16,
  k17,
  k18,
  k19,
  k20,
  k21,
  k22,
  k23,
  k24,
  k25,
  k26,
  k27,
  k28,
  k29,
  k30,
  k31,
  k32,
  k33,
  k34,
  k35,
  k36,
  k37,
  k38,
  k39,
  k40,
  k41,
  k42,
];
