/** K31 to K36: the life of a root, and what may be in it. */
import { entryAt } from '../../machine/levels.ts';
import { describeSpte, EMPTY, FROZEN, isPresent } from '../spte.ts';
import { findEntry, isShared, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

const K31: KvmRule = {
  id: 'K31',
  level: 'required',
  statement:
    "A new root has two references, the vCPU's and the MMU's; the last one is put when the root is invalid, and once.",
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_alloc_root(), kvm_tdp_mmu_put_root()',
  versions: ['*'],
  watch: ({ roots }, report) => {
    roots.listeners.push({
      linked: (root, references) => {
        report.exercised();
        if (references !== 2)
          report.violated(`2 references to new root ${tableName(root)}`, String(references));
      },
      dropped: (root, left) => {
        report.exercised();
        if (left < 0)
          report.violated(`as many puts of root ${tableName(root)} as gets`, 'one more');
        else if (left === 0 && !roots.isInvalid(root))
          report.violated(`root ${tableName(root)} invalid at its last put`, 'it is valid');
      },
    });
  },
};

const K32: KvmRule = {
  id: 'K32',
  level: 'required',
  statement:
    'A root is made invalid with mmu_lock held for write; it is zapped before whoever wanted that goes on, and before ' +
    'the last reference is put.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_invalidate_roots(), kvm_tdp_mmu_zap_invalidated_roots()',
  versions: ['*'],
  watch: (kvm, report) => {
    const { m, mmuLock, roots } = kvm;
    const nothingIn = (root: number): void => {
      findEntry(kvm, root, (spte, gfn, level) => {
        report.violated(
          `invalid root ${tableName(root)} zapped`,
          `entry ${entryAt(gfn, level)} is ${describeSpte(spte)}`,
        );
        return true;
      });
    };
    roots.listeners.push({
      invalidated: () => {
        report.exercised();
        if (!mmuLock.heldForWrite(m.current))
          report.violated('mmu_lock held for write', 'a root becomes invalid without');
      },
      dropped: (root, left) => {
        if (left === 0) nothingIn(root);
      },
    });
    kvm.listeners.push({
      kept: (what) => {
        if (what !== 'zap-all') return;
        report.exercised();
        for (const root of roots.all()) if (roots.isInvalid(root)) nothingIn(root);
      },
    });
  },
};

const K33: KvmRule = {
  id: 'K33',
  level: 'required',
  statement:
    'Nothing is installed under a root that has become invalid; a root without a page is not asked.',
  source: 'Linux, mmu.c: is_page_fault_stale(); commits a955cad84cda, 18c841e1f411',
  versions: ['*'],
  watch: ({ roots, tables }, report) => {
    tables.listeners.push((table, index, before, after) => {
      if (!isShared(tables, table) || isPresent(before) || !isPresent(after)) return;
      report.exercised();
      const root = tables.rootOf(table);
      if (!roots.isInvalid(root)) return;
      report.violated(
        `nothing new under invalid root ${tableName(root)}`,
        `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))} becomes ${describeSpte(after)}`,
      );
    });
    roots.listeners.push({
      askedInVain: () =>
        report.violated('a root that has a page asked whether it is obsolete', 'a special root is'),
    });
  },
};

const K34: KvmRule = {
  id: 'K34',
  level: 'required',
  statement: 'A vCPU is given valid roots only; a notifier takes pages from invalid ones, too.',
  source:
    'Linux, tdp_mmu.c: kvm_tdp_mmu_unmap_gfn_range() (KVM_INVALID_ROOTS); commit d62007edf01f',
  versions: ['*'],
  watch: (kvm, report) => {
    const { primary, roots, slots } = kvm;
    kvm.listeners.push({
      loaded: (vcpu, root) => {
        if (root < 0) return;
        report.exercised();
        if (roots.isInvalid(root))
          report.violated(`a valid root for vcpu${vcpu}`, `${tableName(root)} is invalid`);
      },
    });
    primary.listeners.push({
      released: (hva, page) => {
        for (const root of roots.all()) {
          if (!roots.isInvalid(root)) continue;
          findEntry(kvm, root, (spte, gfn, level) => {
            const slot = slots.find(roots.asIdOf(root), gfn);
            const maps = level === 0 && slot >= 0 && slots.hvaOf(slot, gfn) === hva;
            if (maps)
              report.violated(
                `page ${page} taken from invalid root ${tableName(root)}`,
                describeSpte(spte),
              );
            return maps;
          });
        }
      },
    });
  },
};

const K35: KvmRule = {
  id: 'K35',
  level: 'required',
  statement: "When the VM is gone, no root is listed and every page of KVM's is freed.",
  source: 'Linux, tdp_mmu.c: kvm_mmu_uninit_tdp_mmu()',
  versions: ['*'],
  atEnd: ({ pages, roots }, report) => {
    report.exercised();
    const left = roots.all();
    if (left.length > 0)
      return report.violated('no root listed', `root ${left.map(tableName).join(', ')} is`);
    const leaked = pages.leaks();
    if (leaked.length > 0)
      report.violated('every kernel page freed', `page ${leaked.join(', ')} still allocated`);
  },
};

const K36: KvmRule = {
  id: 'K36',
  level: 'required',
  statement:
    'No entry is made for a GFN that the host cannot address, as zapping everything does not reach it.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_max_gfn_exclusive(); commit 86931ff7207b',
  versions: ['*'],
  watch: (kvm, report) => {
    const { maxGfn, tables, slots } = kvm;
    tables.listeners.push((table, index, _before, after) => {
      const gfn = tables.gfnOf(table, index);
      if (gfn < maxGfn || after === EMPTY || after === FROZEN || !isShared(tables, table)) return;
      report.violated(
        `nothing from GFN ${maxGfn} on`,
        `entry ${entryAt(gfn, tables.levelOf(table))} becomes ${describeSpte(after)}`,
      );
    });
    kvm.listeners.push({
      faultEnded: (_vcpu, fault) => {
        if (fault.gfn >= maxGfn) report.exercised();
      },
    });
    slots.listeners.push({
      installed: (slot, state) => {
        if (state === 0 || slots.gfnOf(slot) + slots.place(slot).pages <= maxGfn) return;
        report.violated(`no memslot beyond GFN ${maxGfn}`, `slot ${slot} is installed`);
      },
    });
  },
};

export default [K31, K32, K33, K34, K35, K36] satisfies readonly KvmRule[];
