/** K20, K21, K24, K25: what is taken away is flushed before anybody relies on it. */
import { entryAt } from '../../machine/levels.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { type Kvm } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import { describeSpte, isLeafSpte, isPresent, kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import {
  findEntry,
  hostLevel,
  gfnBits,
  isShared,
  namesOf,
  rangeBits,
  tableName,
} from './ghosts.ts';
import type { KvmRule } from './rule.ts';

/** The flushes that each actor owes: GFNs whose mapping under a valid root it has taken away. */
function flushesOwed(kvm: Kvm): PerActor {
  const { roots, tables } = kvm;
  const owed = new PerActor(kvm.m);
  tables.listeners.push((table, index, before, after) => {
    if (!isShared(tables, table) || !isPresent(before) || before === after) return;
    const isTaken = !isPresent(after) || (kindOfSpte(before) === TABLE && isLeafSpte(after));
    if (isTaken && !roots.isInvalid(tables.rootOf(table)))
      owed.mine |= gfnBits(tables, table, index);
  });
  return owed;
}

/** A flush, by whomever, pays what everybody owes for its GFNs. */
function payWith(kvm: Kvm, owed: PerActor): void {
  kvm.listeners.push({
    flushed: (gfn, pages) => {
      const bits = rangeBits(gfn, pages);
      for (let actor = -1; actor < kvm.m.actors.length; actor++)
        owed.set(actor, owed.of(actor) & ~bits);
    },
  });
}

const K20: KvmRule = {
  id: 'K20',
  level: 'required',
  statement:
    'What was taken away under a valid root is flushed before mmu_lock is let go; by a notifier that meets several ' +
    'slots, before it ends.',
  source:
    'Linux, tdp_mmu.c: tdp_mmu_zap_leafs(), tdp_mmu_iter_cond_resched(); recordings, invariant 8: 24 of 46,378 notifier ' +
    'runs flush after mmu_lock was dropped, all of them on their second slot',
  versions: ['*'],
  watch: (kvm, report) => {
    const owed = flushesOwed(kvm);
    payWith(kvm, owed);
    /** GFNs for which a flush may come later, as a notifier is going on with another slot. */
    const later = new PerActor(kvm.m);
    const isNotifier = new PerActor(kvm.m);
    kvm.listeners.push({
      promised: (what) => {
        if (what === 'unmap') isNotifier.mine = 1;
      },
      kept: (what) => {
        if (what !== 'unmap') return;
        isNotifier.mine = 0;
        if (owed.mine !== 0)
          report.violated(`${namesOf(owed.mine)} flushed before the notifier ends`, 'not flushed');
      },
      yielding: (walk) => {
        if (isNotifier.mine !== 0) later.mine = ~rangeBits(walk.first, walk.end - walk.first);
      },
    });
    kvm.mmuLock.listeners.push({
      releasing: () => {
        report.exercised();
        const due = owed.mine & ~later.mine;
        later.mine = 0;
        if (due !== 0)
          report.violated(`${namesOf(due)} flushed before mmu_lock is let go`, 'not flushed');
      },
    });
  },
};

const K21: KvmRule = {
  id: 'K21',
  level: 'required',
  statement: 'A flush of a range covers the range of every entry that was removed.',
  source: 'Linux, commit 574c3c55e969',
  versions: ['*'],
  watch: (kvm, report) => {
    const owed = flushesOwed(kvm);
    kvm.listeners.push({
      flushed: (gfn, pages) => {
        if (owed.mine === 0) return;
        report.exercised();
        const missed = owed.mine & ~rangeBits(gfn, pages);
        if (missed !== 0)
          report.violated(
            `${namesOf(owed.mine)} flushed`,
            `the range leaves ${namesOf(missed)} out`,
          );
      },
    });
    payWith(kvm, owed);
  },
};

/** A GFN of an address space, as a key. */
const keyOf = (asId: number, gfn: number): number => asId * 64 + gfn;

const K24: KvmRule = {
  id: 'K24',
  level: 'required',
  statement:
    'When logging begins, and when the log is read, the slot is flushed whether or not an entry changed; no write of ' +
    'the guest is missing from the log.',
  source: 'Linux, commit b64d740ea7dd; mmu.c: kvm_mmu_slot_apply_flags()',
  versions: ['*'],
  watch: ({ listeners, m, slots }, report) => {
    /** GFNs flushed since the current actor's promise. */
    const flushed = new PerActor(m);
    const written = new Map<number, number>();
    m.clearOnReset(written);
    /** GFNs that the collector has taken and not yet returned with. */
    const taken = new PerActor(m);
    listeners.push({
      promised: (what) => {
        if (what === 'log' || what === 'collect') flushed.mine = taken.mine = 0;
      },
      flushed: (gfn, pages) => {
        flushed.mine |= rangeBits(gfn, pages);
      },
      kept: (what, asId, gfn, pages) => {
        if (what !== 'log' && what !== 'collect') return;
        report.exercised();
        const due = (what === 'log' ? rangeBits(gfn, pages) : taken.mine) & ~flushed.mine;
        if (due !== 0)
          report.violated(`${namesOf(due)} flushed before user space goes on`, 'not flushed');
        for (let at = gfn; at < gfn + pages; at++) {
          if (what === 'log' || (taken.mine & (1 << at)) !== 0) written.delete(keyOf(asId, at));
        }
      },
      accessed: (vcpu, asId, gfn, _page, _value, value) => {
        const slot = slots.find(asId, gfn);
        if (value !== null && slot !== NO_MEMSLOT && slots.isLogged(slot))
          written.set(keyOf(asId, gfn), vcpu);
      },
      atRest: () => {
        for (const [key, vcpu] of written) {
          const [asId, gfn] = [Math.floor(key / 64), key % 64];
          const slot = slots.find(asId, gfn);
          if (slot === NO_MEMSLOT || slots.isDirty(slot, gfn)) continue;
          report.violated(`GFN ${gfn}, which vcpu${vcpu} wrote, in the dirty log`, 'it is not');
        }
      },
    });
    slots.listeners.push({
      taken: (_slot, gfn) => {
        taken.mine |= 1 << gfn;
      },
      installed: (slot, _state, flags) => {
        if ((flags & 2) !== 0) return;
        const { asId } = slots.place(slot);
        for (const key of written.keys()) if (Math.floor(key / 64) === asId) written.delete(key);
      },
    });
  },
};

const K25: KvmRule = {
  id: 'K25',
  level: 'required',
  statement:
    'A table whose place a huge leaf takes is flushed away before mmu_lock is let go, and when logging ends tables over ' +
    'huge memory do give way; a huge leaf that is split needs no flush.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_map_handle_target_level(), kvm_tdp_mmu_recover_huge_pages()',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, m, mmuLock, roots, tables } = kvm;
    const owed = new PerActor(m);
    tables.listeners.push((table, index, before, after) => {
      if (kindOfSpte(before) === TABLE && isLeafSpte(after))
        owed.mine |= gfnBits(tables, table, index);
      disturbed.fillOthers(1);
    });
    payWith(kvm, owed);
    mmuLock.listeners.push({
      releasing: () => {
        if (owed.mine !== 0)
          report.violated(
            `${namesOf(owed.mine)} flushed, as a huge page took their place`,
            'not flushed',
          );
      },
    });
    /** Somebody else changed something since the promise: what is left over may be his. */
    const disturbed = new PerActor(m);
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
          findEntry(kvm, root, (spte, at, level) => {
            if (kindOfSpte(spte) !== TABLE || level !== 1 || at < gfn || at + 2 > gfn + pages)
              return false;
            const child = pageOfSpte(spte);
            const page = pageOfSpte(m.peek(tables.pages.word(child, 0)));
            const isMixed = asId === 0 && attributes.isMixed(at, tables.span(1));
            if (isMixed || hostLevel(kvm, asId, at, page) < 1) return false;
            for (let i = 0; i < tables.fanout; i++)
              if (!isLeafSpte(m.peek(tables.pages.word(child, i)))) return false;
            report.violated(
              `entry ${tableName(root)} ${entryAt(at, 1)} huge again`,
              describeSpte(spte),
            );
            return true;
          });
        }
        report.exercised();
      },
    });
  },
};

export default [K20, K21, K24, K25] satisfies readonly KvmRule[];
