/** K22, K23, K26: what was given up nothing refers to afterwards, and nothing is left over. */
import { entryAt } from '../../machine/levels.ts';
import { NO_PAGE, pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { IN_GUEST, OUTSIDE_GUEST } from '../../machine/vcpu.ts';
import { CONTEXTS, REQ_FREE_OBSOLETE_ROOTS } from '../kvm.ts';
import { describeSpte, isLeafSpte, isPresent, pageOfSpte } from '../spte.ts';
import { DIRECT_TABLE } from '../tables.ts';
import { backsGfn, findEntry, isRoot, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

const K22: KvmRule = {
  id: 'K22',
  level: 'required',
  statement:
    'What KVM was told to give up, a page by a notifier or a slot by its deletion, nothing of KVM refers to afterwards: ' +
    'no root, valid or not, no TLB, no worker in another address space.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_unmap_gfn_range(), tdp_mmu_zap_root()',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, m, memfd, nx, primary, roots, shadow, slots, tables, vcpus } = kvm;
    for (const memory of [primary, attributes.memory])
      memory.listeners.push({
        released: (_hva, page) => {
          report.exercised();
          for (let i = 0; i < shadow.tables.fanout; i++) {
            const spte = m.peek(shadow.tables.pages.word(shadow.table, i));
            const maps = isLeafSpte(spte) && pageOfSpte(spte) === page;
            if (maps) report.violated(`page ${page} mapped by nothing`, 'a shadow entry maps it');
          }
          for (const root of roots.all()) {
            findEntry(kvm, root, (spte, gfn, level) => {
              const maps =
                isLeafSpte(spte) &&
                page >= pageOfSpte(spte) &&
                page < pageOfSpte(spte) + tables.span(level);
              if (maps)
                report.violated(
                  `page ${page} mapped by nothing`,
                  `entry ${tableName(root)} ${entryAt(gfn, level)} maps it`,
                );
              return maps;
            });
          }
          for (const { index, vcpu, tlb } of vcpus) {
            if (vcpu.mode() === OUTSIDE_GUEST || !tlb.translations.pointsTo(page)) continue;
            report.violated(`no vCPU in the guest remembers page ${page}`, `vcpu${index} does`);
          }
        },
      });
    kvm.listeners.push({
      accessed: (vcpu, asId, gfn, page) => {
        report.exercised();
        if (backsGfn(kvm, asId, gfn, page)) return;
        report.violated(
          `vcpu${vcpu} reaches the page that backs GFN ${gfn}`,
          `page ${page}, which does not`,
        );
      },
    });
    slots.listeners.push({
      freeing: (slot) => {
        report.exercised();
        if (memfd.isBound(slot))
          report.violated(
            `slot ${slot} bound to no file when it is freed`,
            'its guest_memfd has it',
          );
        if (shadow.refersTo(slot))
          report.violated(`no shadow page accounted in slot ${slot} when it is freed`, 'one is');
        const [first, end] = [slots.gfnOf(slot), slots.gfnOf(slot) + slots.place(slot).pages];
        for (const root of roots.all()) {
          if (roots.asIdOf(root) !== slots.place(slot).asId) continue;
          findEntry(kvm, root, (spte, gfn, level) => {
            const isThere = isLeafSpte(spte) && gfn < end && gfn + tables.span(level) > first;
            if (isThere)
              report.violated(
                `slot ${slot} mapped by nothing`,
                `entry ${tableName(root)} ${entryAt(gfn, level)} is there`,
              );
            return isThere;
          });
        }
      },
      lookedUp: (asId, gfn) => {
        if (recovering.mine < 0) return;
        report.exercised();
        const wanted = roots.asIdOf(tables.rootOf(recovering.mine));
        if (wanted !== asId)
          report.violated(`GFN ${gfn} looked up in address space ${wanted}`, `in ${asId}`);
      },
    });
    const recovering = new PerActor(m, NO_PAGE);
    nx.listeners.push({
      recovering: (table) => {
        recovering.mine = table;
      },
      recovered: () => {
        recovering.mine = NO_PAGE;
      },
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
  watch: ({ listeners, m, mmuLock, roots, vcpus }, report) => {
    const has = new PerActor(m);
    roots.listeners.push({
      invalidated: () => {
        has.mine = 1;
      },
    });
    mmuLock.listeners.push({
      releasing: () => {
        if (has.mine === 0) return;
        has.mine = 0;
        report.exercised();
        for (const { index, roots: loaded, vcpu } of vcpus) {
          if (vcpu.mode() !== IN_GUEST || (vcpu.requests() & REQ_FREE_OBSOLETE_ROOTS) !== 0)
            continue;
          for (const context of CONTEXTS.keys()) {
            const root = m.peek(loaded + context) - 1;
            if (root < 0 || !roots.isInvalid(root)) continue;
            report.violated(
              `vcpu${index} out of the guest, or told to leave`,
              `it runs on invalid root ${tableName(root)}`,
            );
          }
        }
      },
    });
    listeners.push({
      entered: (vcpu, root) => {
        report.exercised();
        // who has just made it invalid still holds the lock, and is about to get the vCPU out again
        if (roots.isInvalid(root) && !mmuLock.isWriteHeld())
          report.violated(`vcpu${vcpu} enters with a valid root`, `${tableName(root)} is invalid`);
      },
    });
  },
};

const K26: KvmRule = {
  id: 'K26',
  level: 'required',
  statement:
    'Zapping all of a root leaves nothing, neither leaves nor tables: it is empty when it is freed.',
  source:
    'Linux, tdp_mmu.c: tdp_mmu_zap_root(); mail "Don\'t skip non-leaf SPTEs when zapping all SPTEs" (2021)',
  versions: ['*'],
  watch: ({ m, pages, tables }, report) => {
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !isRoot(tables, page)) return;
      report.exercised();
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(page, i));
        if (isPresent(spte))
          report.violated(`root ${tableName(page)} empty`, `entry ${i} is ${describeSpte(spte)}`);
      }
    });
  },
};

export default [K22, K23, K26] satisfies readonly KvmRule[];
