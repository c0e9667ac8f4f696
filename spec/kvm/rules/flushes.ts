/** K20 to K26: what is taken away is flushed before anybody relies on it, and nothing is left over. */
import { PerActor } from '../../machine/per-actor.ts';
import { NO_PAGE, pageNumberOf } from '../../machine/pages.ts';
import { IN_GUEST, OUTSIDE_GUEST } from '../../machine/vcpu.ts';
import { CONTEXTS, REQ_FREE_OBSOLETE_ROOTS, type Kvm } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import { describeSpte, isLeafSpte, isPresent, kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import { DIRECT_TABLE } from '../tables.ts';
import { backsGfn, findEntry, hostLevel, gfnBits, isRoot, isShared, namesOf, rangeBits, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

/** The flushes that each actor owes: GFNs whose mapping under a valid root it has taken away. */
function flushesOwed(kvm: Kvm): PerActor {
  const { roots, tables } = kvm;
  const owed = new PerActor(kvm.m);
  tables.listeners.push((table, index, before, after) => {
    if (!isShared(tables, table) || !isPresent(before) || before === after) return;
    const isTaken = !isPresent(after) || (kindOfSpte(before) === TABLE && isLeafSpte(after));
    if (isTaken && !roots.isInvalid(tables.rootOf(table))) owed.mine |= gfnBits(tables, table, index);
  });
  return owed;
}

/** A flush, by whomever, pays what everybody owes for its GFNs. */
function payWith(kvm: Kvm, owed: PerActor): void {
  kvm.listeners.push({
    flushed: (gfn, pages) => {
      const bits = rangeBits(gfn, pages);
      for (let actor = -1; actor < kvm.m.actors.length; actor++) owed.set(actor, owed.of(actor) & ~bits);
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
  watch: (kvm, judge) => {
    const owed = flushesOwed(kvm);
    payWith(kvm, owed);
    /** GFNs for which a flush may come later, as a notifier is going on with another slot. */
    const later = new PerActor(kvm.m);
    const isNotifier = new PerActor(kvm.m);
    kvm.listeners.push({
      promised: (what) => { if (what === 'unmap') isNotifier.mine = 1; },
      kept: (what) => {
        if (what !== 'unmap') return;
        isNotifier.mine = 0;
        if (owed.mine !== 0) judge.violated(`${namesOf(owed.mine)} flushed before the notifier ends`, 'not flushed');
      },
      yielding: (walk) => {
        if (isNotifier.mine !== 0) later.mine = ~rangeBits(walk.first, walk.end - walk.first);
      },
    });
    kvm.mmuLock.listeners.push({
      releasing: () => {
        judge.exercised();
        const due = owed.mine & ~later.mine;
        later.mine = 0;
        if (due !== 0) judge.violated(`${namesOf(due)} flushed before mmu_lock is let go`, 'not flushed');
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
  watch: (kvm, judge) => {
    const owed = flushesOwed(kvm);
    kvm.listeners.push({
      flushed: (gfn, pages) => {
        if (owed.mine === 0) return;
        judge.exercised();
        const missed = owed.mine & ~rangeBits(gfn, pages);
        if (missed !== 0) judge.violated(`${namesOf(owed.mine)} flushed`, `the range leaves ${namesOf(missed)} out`);
      },
    });
    payWith(kvm, owed);
  },
};

const K22: KvmRule = {
  id: 'K22',
  level: 'required',
  statement:
    'What KVM was told to give up, a page by a notifier or a slot by its deletion, nothing of KVM refers to afterwards: ' +
    'no root, valid or not, no TLB, no worker in another address space.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_unmap_gfn_range(), tdp_mmu_zap_root()',
  versions: ['*'],
  watch: (kvm, judge) => {
    const { attributes, m, memfd, nx, primary, roots, shadow, slots, tables, vcpus } = kvm;
    for (const memory of [primary, attributes.memory]) memory.listeners.push({
      released: (_hva, page) => {
        judge.exercised();
        for (let i = 0; i < shadow.tables.fanout; i++) {
          const spte = m.peek(shadow.tables.pages.word(shadow.table, i));
          const maps = isLeafSpte(spte) && pageOfSpte(spte) === page;
          if (maps) judge.violated(`page ${page} mapped by nothing`, 'a shadow entry maps it');
        }
        for (const root of roots.all()) {
          findEntry(kvm, root, (spte, gfn, level) => {
            const maps = isLeafSpte(spte) && page >= pageOfSpte(spte) && page < pageOfSpte(spte) + tables.span(level);
            if (maps) judge.violated(`page ${page} mapped by nothing`, `entry ${tableName(root)} ${gfn}@L${level} maps it`);
            return maps;
          });
        }
        for (const { index, vcpu, tlb } of vcpus) {
          if (vcpu.mode() === OUTSIDE_GUEST || !tlb.translations.pointsTo(page)) continue;
          judge.violated(`no vCPU in the guest remembers page ${page}`, `vcpu${index} does`);
        }
      },
    });
    kvm.listeners.push({
      accessed: (vcpu, asId, gfn, page) => {
        judge.exercised();
        if (backsGfn(kvm, asId, gfn, page)) return;
        judge.violated(`vcpu${vcpu} reaches the page that backs GFN ${gfn}`, `page ${page}, which does not`);
      },
    });
    slots.listeners.push({
      freeing: (slot) => {
        judge.exercised();
        if (memfd.isBound(slot)) judge.violated(`slot ${slot} bound to no file when it is freed`, 'its guest_memfd has it');
        if (shadow.refersTo(slot)) judge.violated(`no shadow page accounted in slot ${slot} when it is freed`, 'one is');
        const [first, end] = [slots.gfnOf(slot), slots.gfnOf(slot) + slots.place(slot).pages];
        for (const root of roots.all()) {
          if (roots.asIdOf(root) !== slots.place(slot).asId) continue;
          findEntry(kvm, root, (spte, gfn, level) => {
            const isThere = isLeafSpte(spte) && gfn < end && gfn + tables.span(level) > first;
            if (isThere) judge.violated(`slot ${slot} mapped by nothing`, `entry ${tableName(root)} ${gfn}@L${level} is there`);
            return isThere;
          });
        }
      },
      lookedUp: (asId, gfn) => {
        if (recovering.mine < 0) return;
        judge.exercised();
        const wanted = roots.asIdOf(tables.rootOf(recovering.mine));
        if (wanted !== asId) judge.violated(`GFN ${gfn} looked up in address space ${wanted}`, `in ${asId}`);
      },
    });
    const recovering = new PerActor(m, NO_PAGE);
    nx.listeners.push({
      recovering: (table) => { recovering.mine = table; },
      recovered: () => { recovering.mine = NO_PAGE; },
    });
  },
};

const K23: KvmRule = {
  id: 'K23',
  level: 'required',
  statement:
    'No vCPU is in the guest with an invalid root once mmu_lock is dropped by who made it invalid: that is why zapping ' +
    'it needs no flush.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_zap_invalidated_roots(); mmu.c: kvm_mmu_zap_all_fast()',
  versions: ['*'],
  watch: ({ listeners, m, mmuLock, roots, vcpus }, judge) => {
    const has = new PerActor(m);
    roots.listeners.push({ invalidated: () => { has.mine = 1; } });
    mmuLock.listeners.push({
      releasing: () => {
        if (has.mine === 0) return;
        has.mine = 0;
        judge.exercised();
        for (const { index, roots: loaded, vcpu } of vcpus) {
          if (vcpu.mode() !== IN_GUEST || (vcpu.requests() & REQ_FREE_OBSOLETE_ROOTS) !== 0) continue;
          for (const context of CONTEXTS.keys()) {
            const root = m.peek(loaded + context) - 1;
            if (root < 0 || !roots.isInvalid(root)) continue;
            judge.violated(`vcpu${index} out of the guest, or told to leave`, `it runs on invalid root ${tableName(root)}`);
          }
        }
      },
    });
    listeners.push({
      entered: (vcpu, root) => {
        judge.exercised();
        // who has just made it invalid still holds the lock, and is about to get the vCPU out again
        if (roots.isInvalid(root) && !mmuLock.isWriteHeld()) judge.violated(`vcpu${vcpu} enters with a valid root`, `${tableName(root)} is invalid`);
      },
    });
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
  watch: ({ listeners, m, slots }, judge) => {
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
      flushed: (gfn, pages) => { flushed.mine |= rangeBits(gfn, pages); },
      kept: (what, asId, gfn, pages) => {
        if (what !== 'log' && what !== 'collect') return;
        judge.exercised();
        const due = (what === 'log' ? rangeBits(gfn, pages) : taken.mine) & ~flushed.mine;
        if (due !== 0) judge.violated(`${namesOf(due)} flushed before user space goes on`, 'not flushed');
        for (let at = gfn; at < gfn + pages; at++) {
          if (what === 'log' || (taken.mine & (1 << at)) !== 0) written.delete(keyOf(asId, at));
        }
      },
      accessed: (vcpu, asId, gfn, _page, _value, value) => {
        const slot = slots.find(asId, gfn);
        if (value !== null && slot !== NO_MEMSLOT && slots.isLogged(slot)) written.set(keyOf(asId, gfn), vcpu);
      },
      atRest: () => {
        for (const [key, vcpu] of written) {
          const [asId, gfn] = [Math.floor(key / 64), key % 64];
          const slot = slots.find(asId, gfn);
          if (slot === NO_MEMSLOT || slots.isDirty(slot, gfn)) continue;
          judge.violated(`GFN ${gfn}, which vcpu${vcpu} wrote, in the dirty log`, 'it is not');
        }
      },
    });
    slots.listeners.push({
      taken: (_slot, gfn) => { taken.mine |= 1 << gfn; },
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
  watch: (kvm, judge) => {
    const { attributes, m, mmuLock, roots, tables } = kvm;
    const owed = new PerActor(m);
    tables.listeners.push((table, index, before, after) => {
      if (kindOfSpte(before) === TABLE && isLeafSpte(after)) owed.mine |= gfnBits(tables, table, index);
      disturbed.fillOthers(1);
    });
    payWith(kvm, owed);
    mmuLock.listeners.push({
      releasing: () => {
        if (owed.mine !== 0) judge.violated(`${namesOf(owed.mine)} flushed, as a huge page took their place`, 'not flushed');
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
            if (kindOfSpte(spte) !== TABLE || level !== 1 || at < gfn || at + 2 > gfn + pages) return false;
            const child = pageOfSpte(spte);
            const page = pageOfSpte(m.peek(tables.pages.word(child, 0)));
            const isMixed = asId === 0 && attributes.isMixed(at, tables.span(1));
            if (isMixed || hostLevel(kvm, asId, at, page) < 1) return false;
            for (let i = 0; i < tables.fanout; i++) if (!isLeafSpte(m.peek(tables.pages.word(child, i)))) return false;
            judge.violated(`entry ${tableName(root)} ${at}@L1 huge again`, describeSpte(spte));
            return true;
          });
        }
        judge.exercised();
      },
    });
  },
};

const K26: KvmRule = {
  id: 'K26',
  level: 'required',
  statement: 'Zapping all of a root leaves nothing, neither leaves nor tables: it is empty when it is freed.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_zap_root(); mail "Don\'t skip non-leaf SPTEs when zapping all SPTEs" (2021)',
  versions: ['*'],
  watch: ({ m, pages, tables }, judge) => {
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !isRoot(tables, page)) return;
      judge.exercised();
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(page, i));
        if (isPresent(spte)) judge.violated(`root ${tableName(page)} empty`, `entry ${i} is ${describeSpte(spte)}`);
      }
    });
  },
};

export default [K20, K21, K22, K23, K24, K25, K26] satisfies readonly KvmRule[];
