/**
 * Emits a TD's run: changes of its mirror, locks, calls of the module, entries and exits of vCPUs.
 * A policy that holds an entry FROZEN is shown by the hook that KVM calls meanwhile.
 */
import type { Vm } from '../../../impl/vm/vm.ts';
import {
  FROZEN,
  isPresent,
  kindOfSpte,
  LEAF,
  pageOfSpte,
  TABLE,
  type Spte,
} from '../../../spec/kvm/spte.ts';
import { UNLINKED } from '../../../spec/kvm/tables.ts';
import { NO_PAGE, type PageRef } from '../../../spec/machine/pages.ts';
import { isLinked } from '../../rules/state/entries.ts';
import type { AddressMap } from './address-map.ts';
import { CallWriter } from './calls.ts';
import { writeLock } from './locks.ts';
import { SOFTIRQ, type TraceLog } from './log.ts';
import { spteText } from './sptes.ts';
import { writeVcpus } from './vcpus.ts';
import { writeVmState } from './vm-state.ts';

/** Bits of a role: a direct table, all access, with NX and CR0.WP, of a mirror. */
const MIRROR_ROLE = 0x80 | 0xf00 | 0x6000 | (1 << 19);
const RETRIED = -16;

export function writeSecure(vm: Vm, log: TraceLog, addresses: AddressMap): void {
  const calls = new CallWriter(vm, log, addresses);
  const mirror = new MirrorWriter(vm, log, addresses);
  vm.m.onReset(() => emitInitialState(vm, log, addresses, mirror, calls));
  writeLock(vm.mmuLock, vm.m, log, addresses.vm);
  writeVmState(vm, log, addresses);
  writeVcpus(vm, log, addresses);
}

/** Emits the state of the VM before its scenario, as if its owner had just created it. */
function emitInitialState(
  vm: Vm,
  log: TraceLog,
  addresses: AddressMap,
  mirror: MirrorWriter,
  calls: CallWriter,
): void {
  log.event('vm_init', 'kvm_mmu_init_tdp_mmu+0x4', `kvm=${addresses.vm}`);
  log.event('wl', '_raw_write_lock+0x4', `lock=${addresses.vm}`);
  log.event('wl_ret', 'kvm_mmu_init_tdp_mmu+0x8 <- _raw_write_lock', `lock=${addresses.vm}`);
  log.event(
    'alloc_root',
    'kvm_tdp_mmu_alloc_root+0x4',
    `vcpu=${addresses.vcpu(0)} kvm=${addresses.vm}`,
  );
  mirror.born(vm.mirror.root);
  emitInitialTable(vm, vm.mirror.root, mirror, calls);
  log.event('wu', '_raw_write_unlock+0x4', `lock=${addresses.vm}`);
  if (vm.td.isRunnable()) calls.past('TDH.MR.FINALIZE', '');
}

function emitInitialTable(vm: Vm, table: PageRef, mirror: MirrorWriter, calls: CallWriter): void {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = vm.m.peek(vm.pages.word(table, i));
    if (!isPresent(spte)) continue;
    const isTable = kindOfSpte(spte) === TABLE;
    const page = isTable ? vm.mirror.externalOf(pageOfSpte(spte)) & 0xfff : pageOfSpte(spte);
    calls.added(isTable, vm.mirror.gfnOf(table, i), vm.mirror.levelOf(table), page);
    mirror.changed(table, i, 0, spte);
    if (isTable) emitInitialTable(vm, pageOfSpte(spte), mirror, calls);
  }
}

/** Emits changes of the mirror, and the life of its tables. */
class MirrorWriter {
  private readonly vm: Vm;
  private readonly log: TraceLog;
  private readonly addresses: AddressMap;
  private readonly known = new Set<PageRef>();
  /** Cells of FROZEN entries that were empty before. */
  private readonly frozen = new Set<number>();

  constructor(vm: Vm, log: TraceLog, addresses: AddressMap) {
    this.vm = vm;
    this.log = log;
    this.addresses = addresses;
    vm.m.clearOnReset(this.known);
    vm.m.clearOnReset(this.frozen);
    vm.mirror.listeners.push((table, index, before, after) =>
      this.written(table, index, before, after),
    );
    vm.pages.onFree.push((page) => {
      // only the RCU callback has a probe
      if (!this.known.delete(page) || !vm.rcu.isCallback(vm.m.current)) return;
      log.event(
        'free_rcu',
        'tdp_mmu_free_sp_rcu_callback+0x4',
        `spt=${addresses.table(page)}`,
        SOFTIRQ,
      );
    });
  }

  private written(table: PageRef, index: number, before: Spte, after: Spte): void {
    const { vm } = this;
    const cell = vm.pages.word(table, index);
    // entries of a table that is not linked yet are filled without the function that has the probe
    const isGone = vm.mirror.stageOf(table) === UNLINKED;
    if (before === after || !(isGone || isLinked(vm, table))) return;
    if (this.frozen.delete(cell)) this.thawed(table, index, after);
    else if (after === FROZEN && !isPresent(before)) {
      this.frozen.add(cell);
      this.log.event(
        'tdx_sept_set_private_spte',
        'tdx_sept_set_private_spte+0x4',
        this.place(table, index),
      );
    } else this.changed(table, index, before, after);
  }

  private thawed(table: PageRef, index: number, after: Spte): void {
    this.log.event(
      'tdx_sept_set_private_spte_ret',
      'set_external_spte_present+0x40 <- tdx_sept_set_private_spte',
      `ret=${isPresent(after) ? 0 : RETRIED}`,
    );
    if (isPresent(after)) this.changed(table, index, 0, after);
  }

  private place(table: PageRef, index: number): string {
    const {
      addresses,
      vm: { mirror },
    } = this;
    return (
      `kvm=${addresses.vm} gfn=0x${addresses.gfn(mirror.gfnOf(table, index)).toString(16)} ` +
      `level=${addresses.level(mirror.levelOf(table))}`
    );
  }

  changed(table: PageRef, index: number, before: Spte, after: Spte): void {
    const { addresses, vm, log } = this;
    if (kindOfSpte(after) === TABLE && pageOfSpte(after) !== NO_PAGE)
      this.born(pageOfSpte(after), addresses.table(table, index));
    const level = addresses.level(vm.mirror.levelOf(table));
    const isShared = vm.m.current >= 0 && !vm.mmuLock.heldForWrite(vm.m.current);
    const gfn = addresses.gfn(vm.mirror.gfnOf(table, index));
    log.event(
      'chg',
      '__handle_changed_spte+0x0',
      `kvm=${addresses.vm} sp=${addresses.sp(table)} spt=${addresses.table(table)} ` +
        `role=${this.role(table)} gfn=0x${gfn.toString(16)} level=${level} ` +
        `old=${spteText(before, level, addresses)} new=${spteText(after, level, addresses)} ` +
        `shared=${isShared ? 1 : 0}`,
    );
    if (kindOfSpte(before) === LEAF && kindOfSpte(after) === TABLE)
      this.known.add(pageOfSpte(after));
  }

  /** Emits that a table is initialised: once, however often it is linked. */
  born(table: PageRef, sptep = '0x0'): void {
    if (this.known.has(table)) return;
    this.known.add(table);
    const { addresses, vm, log } = this;
    log.event(
      'init_sp',
      'tdp_mmu_init_sp+0x0',
      `sp=${addresses.sp(table)} spt=${addresses.table(table)} sptep=${sptep} ` +
        `gfn=0x${addresses.gfn(vm.mirror.gfnOf(table, 0)).toString(16)} role=${this.role(table)}`,
    );
  }

  private role(table: PageRef): string {
    return `0x${(MIRROR_ROLE | this.addresses.level(this.vm.mirror.levelOf(table))).toString(16)}`;
  }
}
