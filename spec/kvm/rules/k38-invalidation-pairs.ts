import type { Reporter } from '../../machine/monitor.ts';
import { PerActor } from '../../machine/per-actor.ts';
import type { Kvm } from '../kvm.ts';
import { SLOT_ABSENT } from '../memslots.ts';
import { isLeafSpte, isPresent } from '../spte.ts';
import { gfnNames, rangeBits } from './gfn-sets.ts';
import type { KvmRule } from './rule.ts';

/** Begin and end come in pairs, under mmu_lock held for write, and cover every GFN zapped. */
function watchRange({ invalidation, m, mmuLock, tables }: Kvm, report: Reporter): void {
  /** GFNs of the invalidation that the actor has begun. */
  const own = new PerActor(m);
  const checkLocked = (what: string): void => {
    report.exercised();
    if (!mmuLock.heldForWrite(m.current))
      report.violated('mmu_lock held for write', `an invalidation ${what} without it`);
  };
  invalidation.listeners.push({
    began: (gfn, pages) => {
      checkLocked('begins');
      own.mine = rangeBits(gfn, pages);
    },
    extended: (gfn, pages) => {
      own.mine |= rangeBits(gfn, pages);
    },
    ended: () => {
      checkLocked('ends');
      own.mine = 0;
      if (invalidation.underWay() < 0)
        report.violated('as many invalidations ended as began', 'one more');
    },
  });
  tables.listeners.push((table, index, before, after) => {
    if (own.mine === 0 || !isLeafSpte(before) || isPresent(after)) return;
    if (!mmuLock.heldForWrite(m.current)) return;
    const gfn = tables.gfnOf(table, index);
    const bits = rangeBits(gfn, tables.span(tables.levelOf(table)));
    if ((bits & own.mine) === 0)
      report.violated(`GFN ${gfn} zapped within ${gfnNames(own.mine)}`, 'it is outside');
  });
}

export default {
  id: 'K38',
  level: 'required',
  statement:
    'mmu_invalidate_begin() and _end() run in pairs, with mmu_lock held for write; the range ' +
    'covers every GFN zapped, stays open until the host has its pages back, and the memslots do ' +
    'not change meanwhile.',
  source:
    'Linux, virt/kvm/kvm_main.c: kvm_mmu_invalidate_begin(), kvm_mmu_invalidate_end(); commits ' +
    '52ac8b358b0c, edb298c663fc',
  intent:
    'Otherwise a fault that looked its page up before the invalidation does not notice that the ' +
    'page is gone.',
  hint:
    'Look at begin and end: GFNs (not user addresses), one memslot array for both, and an end on ' +
    'every path that began.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { invalidation, m, primary, slots } = kvm;
    watchRange(kvm, report);
    primary.listeners.push({
      released: (hva) => {
        for (const [slot, place] of slots.places.entries()) {
          if (slots.stateOf(slot) === SLOT_ABSENT) continue;
          if (hva < place.hva || hva >= place.hva + place.pages) continue;
          const gfn = slots.gfnOf(slot) + hva - place.hva;
          report.exercised();
          if (!invalidation.covers(gfn))
            report.violated(`GFN ${gfn} being invalidated when its page is released`, 'it is not');
        }
      },
    });
    slots.listeners.push({
      installed: (slot) => {
        if (m.peek(kvm.activeNotifiers) === 0) return;
        report.violated(
          'memslots as they were when the notifier under way began',
          `slot ${slot} is replaced`,
        );
      },
    });
    kvm.listeners.push({
      atRest: () => {
        if (invalidation.underWay() !== 0)
          report.violated('no invalidation under way', `${invalidation.underWay()} are`);
      },
    });
  },
} satisfies KvmRule;
