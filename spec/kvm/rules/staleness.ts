/** K37 to K42: faults and those who take pages away, side by side. */
import { PerActor } from '../../machine/per-actor.ts';
import type { RuleText } from '../../machine/rule.ts';
import { RET_RETRY, type Kvm } from '../kvm.ts';
import { NO_MEMSLOT, SLOT_INVALID } from '../memslots.ts';
import { describeSpte, FROZEN, isLeafSpte, isPresent, pageOfSpte } from '../spte.ts';
import { Faults, isShared, leafAt, namesOf, rangeBits } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

/**
 * Why a fault may have to be taken again: whether, since it began, something happened that it has
 * to give way to.
 */
function reasonsToRetry(kvm: Kvm): PerActor {
  const reason = new PerActor(kvm.m);
  const mine = (): void => {
    reason.mine = 1;
  };
  const others = (): void => reason.fillOthers(1);
  kvm.tables.losers.push(mine);
  kvm.pages.onFailure.push(mine);
  kvm.tables.readers.push((_table, _index, spte) => {
    if (spte === FROZEN) reason.mine = 1;
  });
  kvm.tables.listeners.push(others);
  kvm.invalidation.listeners.push({
    sampled: () => {
      if (kvm.invalidation.underWay() > 0) reason.mine = 1;
    },
    began: others,
    ended: others,
  });
  kvm.roots.listeners.push({ invalidated: others });
  kvm.slots.listeners.push({
    lookedUp: (_asId, _gfn, slot) => {
      if (slot !== NO_MEMSLOT && kvm.slots.stateOf(slot) === SLOT_INVALID) reason.mine = 1;
    },
    installed: others,
  });
  return reason;
}

const K37: KvmRule = {
  id: 'K37',
  level: 'required',
  statement:
    'A fault installs a page only if nothing was invalidated since before it looked the page up, and is sent back only ' +
    'if something was; the page that it got is the page that it puts.',
  source:
    'Linux, mmu.c: kvm_mmu_faultin_pfn(), is_page_fault_stale(); commits a955cad84cda, ba6e3fe25543',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, invalidation, m, primary, tables } = kvm;
    /** The GFN that the current actor has looked up last: that of its fault. */
    const wanted = new PerActor(m);
    kvm.slots.listeners.push({
      lookedUp: (_asId, gfn) => {
        wanted.mine = gfn;
      },
    });
    const NOTHING = -1;
    const page = new PerActor(m, NOTHING);
    const seq = new PerActor(m);
    const references = new Map<number, number>();
    m.clearOnReset(references);
    const count = (at: number, by: number): void => {
      references.set(at, (references.get(at) ?? 0) + by);
      if ((references.get(at) ?? 0) < 0)
        report.violated(`a reference to page ${at} before it is put`, 'none was got');
    };
    for (const memory of [primary, attributes.memory])
      memory.listeners.push({
        got: (at) => {
          page.mine = at;
          seq.mine = invalidation.now() | 0;
          count(at, 1);
        },
        put: (at) => count(at, -1),
      });
    tables.listeners.push((table, _index, before, after) => {
      if (
        page.mine === NOTHING ||
        !isShared(tables, table) ||
        !isLeafSpte(after) ||
        before === after
      )
        return;
      if (isLeafSpte(before) && pageOfSpte(before) === pageOfSpte(after)) return;
      report.exercised();
      // the range of an invalidation is of GFNs in any address space: that of a neighbour says nothing
      const gfn = wanted.mine;
      const stale = seq.mine !== (invalidation.now() | 0) || invalidation.covers(gfn);
      if (stale)
        report.violated(
          `GFN ${gfn} mapped to a page that was looked up since the last invalidation`,
          `page ${page.mine} is stale`,
        );
    });
    const reason = reasonsToRetry(kvm);
    kvm.listeners.push({
      faultBegan: (_vcpu, fault) => {
        page.mine = NOTHING;
        const pending = kvm.vcpus[_vcpu]?.vcpu.requests() ?? 0;
        reason.mine = (fault.root >= 0 && kvm.roots.isInvalid(fault.root)) || pending !== 0 ? 1 : 0;
      },
      faultEnded: (_vcpu, fault, result) => {
        page.mine = NOTHING;
        if (
          result !== RET_RETRY ||
          reason.mine !== 0 ||
          (kvm.vcpus[_vcpu]?.vcpu.requests() ?? 0) !== 0
        )
          return;
        report.violated(
          `the fault on GFN ${fault.gfn} ends, as nothing came between`,
          'it is taken again',
        );
      },
      atRest: () => {
        for (const [at, left] of references) {
          if (left !== 0) report.violated(`every reference to page ${at} put`, `${left} left`);
        }
      },
    });
  },
};

const K38: KvmRule = {
  id: 'K38',
  level: 'required',
  statement:
    'An invalidation begins and ends with mmu_lock held for write, is about the GFNs that are taken away, lasts until ' +
    'the host has its pages, with the same memslots from start to end, and ends for as many as it began.',
  source:
    'Linux, kvm_main.c: kvm_mmu_invalidate_begin(), kvm_mmu_invalidate_end(); commits 52ac8b358b0c, edb298c663fc',
  versions: ['*'],
  watch: (kvm, report) => {
    const { invalidation, m, mmuLock, primary, slots, tables } = kvm;
    /** GFNs of the invalidation that the current actor has begun. */
    const own = new PerActor(m);
    const locked = (what: string): void => {
      report.exercised();
      if (!mmuLock.heldForWrite(m.current))
        report.violated('mmu_lock held for write', `an invalidation ${what} without`);
    };
    invalidation.listeners.push({
      began: (gfn, pages) => {
        locked('begins');
        own.mine = rangeBits(gfn, pages);
      },
      extended: (gfn, pages) => {
        own.mine |= rangeBits(gfn, pages);
      },
      ended: () => {
        locked('ends');
        own.mine = 0;
        if (invalidation.underWay() < 0)
          report.violated('as many invalidations ended as began', 'one more');
      },
    });
    tables.listeners.push((table, index, before, after) => {
      if (
        own.mine === 0 ||
        !isLeafSpte(before) ||
        isPresent(after) ||
        !mmuLock.heldForWrite(m.current)
      )
        return;
      const gfn = tables.gfnOf(table, index);
      const bits = rangeBits(gfn, tables.span(tables.levelOf(table)));
      if ((bits & own.mine) === 0)
        report.violated(`GFN ${gfn} taken away within ${namesOf(own.mine)}`, 'it is outside');
    });
    primary.listeners.push({
      released: (hva) => {
        for (const [slot, place] of slots.places.entries()) {
          if (slots.stateOf(slot) === 0 || hva < place.hva || hva >= place.hva + place.pages)
            continue;
          const gfn = slots.gfnOf(slot) + hva - place.hva;
          report.exercised();
          if (!invalidation.covers(gfn))
            report.violated(`GFN ${gfn} being invalidated when its page goes`, 'it is not');
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
};

const K39: KvmRule = {
  id: 'K39',
  level: 'required',
  statement:
    'A zap that promises that nothing maps the range afterwards counts as an invalidation of it.',
  source: 'Linux, mmu.c: kvm_zap_gfn_range(); commit edb298c663fc',
  versions: ['*'],
  watch: ({ invalidation, listeners, m }, report) => {
    const begun = new PerActor(m);
    invalidation.listeners.push({
      began: (gfn, pages) => {
        begun.mine |= rangeBits(gfn, pages);
      },
    });
    listeners.push({
      promised: (what) => {
        if (what === 'zap') begun.mine = 0;
      },
      kept: (what, _asId, gfn, pages) => {
        if (what !== 'zap') return;
        report.exercised();
        const missed = rangeBits(gfn, pages) & ~begun.mine;
        if (missed !== 0)
          report.violated(
            `an invalidation of ${namesOf(rangeBits(gfn, pages))}`,
            `none of ${namesOf(missed)}`,
          );
      },
    });
  },
};

const K40: KvmRule = {
  id: 'K40',
  level: 'required',
  statement:
    'Whoever converts a GFN invalidates every huge page that could be installed over it; when he is done nothing maps ' +
    'the GFN as what it was.',
  source: 'Linux, commit 9129633d568e; mmu.c: kvm_arch_pre_set_memory_attributes()',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, invalidation, m, roots, tables } = kvm;
    const begun = new PerActor(m);
    invalidation.listeners.push({
      began: (gfn, pages) => {
        begun.mine |= rangeBits(gfn, pages);
      },
    });
    kvm.listeners.push({
      promised: (what) => {
        if (what === 'convert') begun.mine = 0;
      },
      kept: (what, _asId, gfn) => {
        if (what !== 'convert') return;
        report.exercised();
        const huge = rangeBits(tables.align(gfn, 1), tables.span(1));
        if ((huge & ~begun.mine) !== 0) {
          report.violated(
            `an invalidation of ${namesOf(huge)}`,
            `none of ${namesOf(huge & ~begun.mine)}`,
          );
        }
        for (const root of roots.all()) {
          const leaf = roots.asIdOf(root) === 0 ? leafAt(kvm, root, gfn) : 0;
          const isOther =
            leaf !== 0 && attributes.isPrivate(gfn) !== attributes.memory.owns(pageOfSpte(leaf));
          if (isOther)
            report.violated(`GFN ${gfn} mapped as it is now, if at all`, describeSpte(leaf));
        }
      },
    });
  },
};

const K41: KvmRule = {
  id: 'K41',
  level: 'required',
  statement:
    'A fault on a GFN that is being invalidated goes away before it takes mmu_lock: who invalidates should not have to ' +
    'yield to it.',
  source:
    'Linux, mmu.c: kvm_mmu_faultin_pfn(), mmu_invalidate_retry_gfn_unsafe(); commit d02c357e5bfa',
  versions: ['*'],
  watch: (kvm, report) => {
    const { invalidation, m, mmuLock } = kvm;
    const faults = new Faults(kvm);
    const wasCovered = new PerActor(m);
    invalidation.listeners.push({
      sampled: () => {
        const { mine } = faults;
        wasCovered.mine = mine !== null && invalidation.covers(mine.gfn) ? 1 : 0;
        if (wasCovered.mine !== 0) report.exercised();
      },
      ended: () => wasCovered.fill(0),
    });
    mmuLock.listeners.push({
      acquired: () => {
        const { mine } = faults;
        if (mine === null || mine.slot === NO_MEMSLOT || wasCovered.mine === 0) return;
        report.violated(
          `no lock for a fault on GFN ${mine.gfn}, which is being invalidated`,
          'it takes mmu_lock',
        );
      },
    });
    kvm.listeners.push({
      faultBegan: () => {
        wasCovered.mine = 0;
      },
    });
  },
};

/** What K42 says, of ordinary VMs and of TDs. */
export const K42_TEXT = {
  id: 'K42',
  level: 'required',
  statement:
    'Whoever retries inside the kernel leaves when the memslot is going away: who takes it away waits for readers of the ' +
    'memslots.',
  source: 'Linux, commits 3ccbf6f47098, 2bc2694fe20b; tdx.c: tdx_handle_ept_violation()',
  versions: ['*'],
} satisfies RuleText;

const K42: KvmRule = {
  ...K42_TEXT,
  watch: ({ invalidation, m, slots, srcu }, report) => {
    /**
     * In the read section that the current actor is in: has a fault begun, and met a slot that is
     * going away?
     */
    const stage = new PerActor(m);
    const BEGUN = 1;
    const MET = 2;
    srcu.onLeave.push(() => {
      stage.mine = 0;
    });
    invalidation.listeners.push({
      sampled: () => {
        if (stage.mine === MET)
          report.violated(
            'the read section left, as the slot is going away',
            'another attempt in it',
          );
        stage.mine = BEGUN;
      },
    });
    slots.listeners.push({
      lookedUp: (_asId, _gfn, slot) => {
        if (slot === NO_MEMSLOT || slots.stateOf(slot) !== SLOT_INVALID || !srcu.holds(m.current))
          return;
        report.exercised();
        if (stage.mine === BEGUN) stage.mine = MET;
      },
    });
  },
};

export default [K37, K38, K39, K40, K41, K42] satisfies readonly KvmRule[];
