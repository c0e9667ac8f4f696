/** Rules about chains: an SPTE still has the value that was last written to it. */
import type { EventName } from '../reader/event-table.ts';
import type { BrokenChain, Change } from '../state/change.ts';
import { FROZEN, hexOf, kindOf } from '../state/spte.ts';
import { PREFILLED } from '../state/table.ts';
import { EXCLUSIVE } from '../state/task.ts';
import type { World } from '../state/world.ts';
import type { TraceRule } from './rule.ts';

/** The events of those who write by themselves, where it could have been one of them. */
function lockless(world: World, { fromHi, fromLo, toHi, toLo }: BrokenChain): EventName[] {
  const layout = world.kernel?.layout;
  const theirs =
    layout === undefined ? 0 : layout.writable.lo | layout.accessed.lo | layout.dirty.lo;
  if (fromHi !== toHi || ((fromLo ^ toLo) & ~theirs) !== 0) return [];
  return [
    ...((toLo & ~fromLo) === 0 ? [] : ['fast_page_fault' as const]),
    ...((fromLo & ~toLo) === 0 ? [] : ['kvm_tdp_mmu_spte_changed' as const]),
  ];
}

/** The rule that a broken chain is against. */
function ruleOf(world: World, { fromHi, fromLo, level, known, mode, direct }: BrokenChain): string {
  const layout = world.kernel?.layout;
  if (known === PREFILLED) return 'K13';
  if (layout !== undefined && kindOf(layout, level, fromHi, fromLo) === FROZEN) return 'K10';
  return direct || mode !== EXCLUSIVE ? 'K2' : 'K3';
}

/**
 * Events without which a broken chain may be none: those of who writes by himself; where tables
 * have no names, those of faults, which say in which table they are by being one; and of FROZEN,
 * which stays until its page is another table's, that of its becoming one.
 */
const explaining = (world: World, b: BrokenChain): EventName[] => [
  ...lockless(world, b),
  ...(world.kernel?.namesTables === false
    ? ['map' as const]
    : ruleOf(world, b) === 'K10'
      ? ['init_sp' as const]
      : []),
];

export const broken = (id: string, premise: (c: Change) => boolean): TraceRule => ({
  id,
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.fit !== 'unknown' && premise(c)) report.exercised(c.vm);
    });
    world.listeners.chainBroken.push((b) => {
      if (ruleOf(world, b) !== id) return;
      const gfn = b.table.gfnOf(b.index).toString(16);
      report.violated(
        { ...b, unless: explaining(world, b) },
        `GFN 0x${gfn} at level ${b.level} was ${hexOf(b.toHi, b.toLo)}, ` +
          `where ${hexOf(b.fromHi, b.fromLo)} was written last`,
        b.fromLine === 0
          ? []
          : [{ line: b.fromLine, what: `${hexOf(b.fromHi, b.fromLo)} was written` }],
      );
    });
  },
});
