import { entryAt } from '../../machine/levels.ts';
import type { Reporter } from '../../machine/monitor.ts';
import type { PageRef } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import type { Kvm } from '../kvm.ts';
import { describeSpte, isLeafSpte, kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import { gfnBits, gfnNames } from './gfn-sets.ts';
import { hostLevel } from './host-pages.ts';
import { clearOnFlush } from './pending-flushes.ts';
import { findEntry } from './present-entries.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** Every entry of the table is a leaf, and the host maps all of it as one huge page. */
function isCollapsible(kvm: Kvm, asId: number, gfn: number, child: PageRef): boolean {
  const { attributes, m, tables } = kvm;
  const page = pageOfSpte(m.peek(tables.pages.word(child, 0)));
  const isMixed = asId === 0 && attributes.isMixed(gfn, tables.span(1));
  if (isMixed || hostLevel(kvm, asId, gfn, page) < 1) return false;
  for (let i = 0; i < tables.fanout; i++)
    if (!isLeafSpte(m.peek(tables.pages.word(child, i)))) return false;
  return true;
}

/** Reports a collapsible table that is left in the range after logging has ended. */
function checkCollapsed(kvm: Kvm, report: Reporter, root: PageRef, range: [number, number]): void {
  const [first, end] = range;
  findEntry(kvm, root, (spte, gfn, level) => {
    if (kindOfSpte(spte) !== TABLE || level !== 1) return false;
    if (gfn < first || gfn + kvm.tables.span(1) > end) return false;
    if (!isCollapsible(kvm, kvm.roots.asIdOf(root), gfn, pageOfSpte(spte))) return false;
    report.violated(`entry ${tableName(root)} ${entryAt(gfn, 1)} huge again`, describeSpte(spte));
    return true;
  });
}

export default {
  id: 'K25',
  level: 'required',
  statement:
    'A table that a huge leaf replaces is flushed before mmu_lock is released, and when dirty ' +
    'logging ends tables over huge host memory are replaced; a split of a huge leaf needs no ' +
    'flush.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_map_handle_target_level(), ' +
    'kvm_tdp_mmu_recover_huge_pages(), tdp_mmu_split_huge_page()',
  intent:
    'Cached pointers into the replaced table lead the hardware to a freed page; tables that are ' +
    'never replaced keep the guest slow.',
  hint:
    'Look for the flush of the GFN range after a non-leaf SPTE became a leaf, and at the walk ' +
    'that recovers huge pages when logging ends.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { m, mmuLock, roots, tables } = kvm;
    const pending = new PerActor(m);
    /** Another actor changed something since the operation began: what is left may be its work. */
    const disturbed = new PerActor(m);
    tables.listeners.push((table, index, before, after) => {
      if (kindOfSpte(before) === TABLE && isLeafSpte(after))
        pending.mine |= gfnBits(tables, table, index);
      disturbed.fillOthers(1);
    });
    clearOnFlush(kvm, pending);
    mmuLock.listeners.push({
      releasing: () => {
        if (pending.mine !== 0)
          report.violated(
            `${gfnNames(pending.mine)} flushed, as a huge leaf replaced their table`,
            'not flushed',
          );
      },
    });
    kvm.primary.listeners.push({ got: () => disturbed.fillOthers(1) });
    kvm.invalidation.listeners.push({ began: () => disturbed.fillOthers(1) });
    kvm.pages.onFailure.push(() => disturbed.fill(1));
    kvm.listeners.push({
      promised: (what) => {
        if (what === 'unlog') disturbed.mine = kvm.invalidation.underWay();
      },
      kept: (what, asId, gfn, pages) => {
        if (what !== 'unlog' || disturbed.mine !== 0) return;
        for (const root of roots.all()) {
          if (roots.isInvalid(root) || roots.asIdOf(root) !== asId) continue;
          checkCollapsed(kvm, report, root, [gfn, gfn + pages]);
        }
        report.exercised();
      },
    });
  },
} satisfies KvmRule;
