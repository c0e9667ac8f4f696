/**
 * Monitors of traces, one file a rule. The lists ascend by id: violations at one line are reported
 * in this order, and so are the monitors of one rule, in the order of its file.
 */
import k1 from './k01-written-under-mmu-lock.ts';
import k2 from './k02-cmpxchg-under-read.ts';
import k3 from './k03-exchange-where-hardware-writes.ts';
import k5 from './k05-tables-freed-by-rcu.ts';
import k8 from './k08-no-leaf-to-another-leaf.ts';
import k9 from './k09-non-present-transitions.ts';
import k10 from './k10-frozen-has-an-owner.ts';
import k12 from './k12-level-within-host-mapping.ts';
import k13 from './k13-table-complete-before-linked.ts';
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
import k31 from './k31-root-reference-counts.ts';
import k32 from './k32-invalid-root-zapped.ts';
import k33 from './k33-no-install-under-invalid-root.ts';
import k34 from './k34-valid-roots-for-vcpus.ts';
import k35 from './k35-nothing-left-of-vm.ts';
import k37 from './k37-stale-fault-retries.ts';
import k38 from './k38-invalidation-pairs.ts';
import k39 from './k39-zap-is-invalidation.ts';
import k44 from './k44-present-after-seamcall.ts';
import k45 from './k45-parent-before-child.ts';
import k46 from './k46-present-changes-under-write.ts';
import k47 from './k47-removed-before-unlock.ts';
import k48 from './k48-table-removed-bottom-up.ts';
import k49 from './k49-resize-by-demote-or-promote.ts';
import k50 from './k50-slot-deletion-exact.ts';
import k51 from './k51-failed-removal-leaks.ts';
import k52 from './k52-add-then-aug.ts';
import k53 from './k53-busy-rolls-back.ts';
import k54 from './k54-block-track-remove.ts';
import k55 from './k55-track-and-kick-together.ts';
import k56 from './k56-busy-removal-repeated-once.ts';
import k57 from './k57-enter-in-guest-mode.ts';
import k58 from './k58-private-fault-resolved.ts';
import k59 from './k59-busy-enter-retries.ts';
import k62 from './k62-teardown-order.ts';
import k65 from './k65-split-under-write.ts';
import k66 from './k66-interrupted-resize.ts';
import k67 from './k67-large-mapping-bounds.ts';
import type { TraceRule } from './rule.ts';

/** Monitors of the rules about any VM. */
export const TRACE_RULES: readonly TraceRule[] = [
  k1,
  k2,
  k3,
  k5,
  k8,
  k9,
  k10,
  k12,
  k13,
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
  k31,
  k32,
  k33,
  k34,
  k35,
  k37,
  k38,
  k39,
].flat();

/** Monitors of the rules about TDs. */
export const TDX_TRACE_RULES: readonly TraceRule[] = [
  k44,
  k45,
  k46,
  k47,
  k48,
  k49,
  k50,
  k51,
  k52,
  k53,
  k54,
  k55,
  k56,
  k57,
  k58,
  k59,
  k62,
  k65,
  k66,
  k67,
].flat();

const idsOf = (rules: readonly TraceRule[]): string[] => [...new Set(rules.map(({ id }) => id))];

/** Ids in ascending order. */
export const TRACE_RULE_IDS: readonly string[] = idsOf(TRACE_RULES);
export const TDX_TRACE_RULE_IDS: readonly string[] = idsOf(TDX_TRACE_RULES);
