import { entryAt } from '../../machine/levels.ts';
import type { Reporter } from '../../machine/monitor.ts';
import { NO_PAGE } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { OUTSIDE_GUEST } from '../../machine/vcpu.ts';
import type { Kvm } from '../kvm.ts';
import type { Slot } from '../memslots.ts';
import { isLeafSpte, pageOfSpte } from '../spte.ts';
import { backsGfn } from './host-pages.ts';
import { findEntry } from './present-entries.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** The host has its page back: no SPTE and no TLB of a vCPU in the guest may refer to it. */
function checkReleased(kvm: Kvm, report: Reporter, page: number): void {
  const { m, roots, shadow, tables, vcpus } = kvm;
  report.exercised();
  for (let i = 0; i < shadow.tables.fanout; i++) {
    const spte = m.peek(shadow.tables.pages.word(shadow.table, i));
    const maps = isLeafSpte(spte) && pageOfSpte(spte) === page;
    if (maps) report.violated(`no SPTE that maps page ${page}`, 'a shadow entry maps it');
  }
  for (const root of roots.all()) {
    findEntry(kvm, root, (spte, gfn, level) => {
      const maps =
        isLeafSpte(spte) &&
        page >= pageOfSpte(spte) &&
        page < pageOfSpte(spte) + tables.span(level);
      if (maps)
        report.violated(
          `no SPTE that maps page ${page}`,
          `entry ${tableName(root)} ${entryAt(gfn, level)} maps it`,
        );
      return maps;
    });
  }
  for (const { index, vcpu, tlb } of vcpus) {
    if (vcpu.mode() === OUTSIDE_GUEST || !tlb.translations.pointsTo(page)) continue;
    report.violated(
      `no vCPU in the guest with page ${page} in its TLB`,
      `vcpu${index} has it there`,
    );
  }
}

/** A memslot is freed: no file, shadow page or leaf may refer to it. */
function checkFreed(kvm: Kvm, report: Reporter, slot: Slot): void {
  const { memfd, roots, shadow, slots, tables } = kvm;
  report.exercised();
  if (memfd.isBound(slot))
    report.violated(`slot ${slot} bound to no file when it is freed`, 'its guest_memfd has it');
  if (shadow.refersTo(slot))
    report.violated(`no shadow page accounted in slot ${slot} when it is freed`, 'one is');
  const [first, end] = [slots.gfnOf(slot), slots.gfnOf(slot) + slots.place(slot).pages];
  for (const root of roots.all()) {
    if (roots.asIdOf(root) !== slots.place(slot).asId) continue;
    findEntry(kvm, root, (spte, gfn, level) => {
      const isLeft = isLeafSpte(spte) && gfn < end && gfn + tables.span(level) > first;
      if (isLeft)
        report.violated(
          `no leaf in slot ${slot}`,
          `entry ${tableName(root)} ${entryAt(gfn, level)} is left`,
        );
      return isLeft;
    });
  }
}

/** NX recovery looks a GFN up in the address space of the table that it recovers. */
function watchRecovery({ m, nx, roots, slots, tables }: Kvm, report: Reporter): void {
  const recovering = new PerActor(m, NO_PAGE);
  slots.listeners.push({
    lookedUp: (asId, gfn) => {
      if (recovering.mine < 0) return;
      report.exercised();
      const wanted = roots.asIdOf(tables.rootOf(recovering.mine));
      if (wanted !== asId)
        report.violated(`GFN ${gfn} looked up in address space ${wanted}`, `in ${asId}`);
    },
  });
  nx.listeners.push({
    recovering: (table) => {
      recovering.mine = table;
    },
    recovered: () => {
      recovering.mine = NO_PAGE;
    },
  });
}

export default {
  id: 'K22',
  level: 'required',
  statement:
    'Once a notifier or a memslot deletion returns, KVM holds no reference to the page or slot: ' +
    'not in any root, valid or invalid, not in a TLB, not in a worker for another address space.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_unmap_gfn_range(), tdp_mmu_zap_root(); ' +
    'Documentation/mm/mmu_notifier.rst',
  intent: 'The host reuses the page at once: a stale reference lets the guest corrupt its memory.',
  hint:
    'Check which roots the zap visits (invalid ones and each address space), and whether the ' +
    'flush is complete when the notifier returns.',
  versions: ['*'],
  watch: (kvm, report) => {
    for (const memory of [kvm.primary, kvm.attributes.memory])
      memory.listeners.push({ released: (_hva, page) => checkReleased(kvm, report, page) });
    kvm.listeners.push({
      accessed: (vcpu, asId, gfn, page) => {
        report.exercised();
        if (backsGfn(kvm, asId, gfn, page)) return;
        report.violated(
          `vcpu${vcpu} reaches the page that backs GFN ${gfn}`,
          `page ${page}, which does not back it`,
        );
      },
    });
    kvm.slots.listeners.push({ freeing: (slot) => checkFreed(kvm, report, slot) });
    watchRecovery(kvm, report);
  },
} satisfies KvmRule;
