/** Rules about chains: an SPTE still has the value that was last written to it. */
import type { EventName } from '../reader/event-table.ts';
import type { BrokenChain, Change } from '../state/change.ts';
import { entryName, FROZEN, hexOf, kindOf } from '../state/spte.ts';
import { PREFILLED } from '../state/table.ts';
import { EXCLUSIVE } from '../state/task.ts';
import type { World } from '../state/world.ts';
import type { TraceRule } from './rule.ts';
import { placedBy } from './tables.ts';

/** Events of lockless writers, if the difference consists of bits that they write. */
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

/** Id of the rule that a broken chain violates. */
function ruleOf(world: World, { fromHi, fromLo, level, known, mode, direct }: BrokenChain): string {
  const layout = world.kernel?.layout;
  if (known === PREFILLED) return 'K13';
  if (layout !== undefined && kindOf(layout, level, fromHi, fromLo) === FROZEN) return 'K10';
  return direct || mode !== EXCLUSIVE ? 'K2' : 'K3';
}

/**
 * Events without which a broken chain proves nothing: those of lockless writers; those that show
 * which table it is in; `init_sp` after FROZEN, which stays until the page becomes another table.
 */
const explaining = (world: World, b: BrokenChain): EventName[] => [
  ...lockless(world, b),
  ...placedBy(world),
  ...(world.kernel?.namesTables === true && ruleOf(world, b) === 'K10'
    ? (['init_sp'] as const)
    : []),
];

/** Reports the broken chains that violate rule `id`; changes that satisfy `premise` exercise it. */
export const brokenChainRule = (id: string, premise: (c: Change) => boolean): TraceRule => ({
  id,
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.fit !== 'unknown' && premise(c)) report.exercised(c.vm);
    });
    world.listeners.chainBroken.push((b) => {
      if (ruleOf(world, b) !== id) return;
      report.violated(
        { ...b, unless: explaining(world, b) },
        `${entryName(b.table.gfnOf(b.index), b.level)} was ${hexOf(b.toHi, b.toLo)}, ` +
          `but the last value written was ${hexOf(b.fromHi, b.fromLo)}`,
        b.fromLine === 0
          ? []
          : [{ line: b.fromLine, what: `${hexOf(b.fromHi, b.fromLo)} was written` }],
      );
    });
  },
});
