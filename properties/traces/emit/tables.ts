/** Emits the life of an ordinary VM's tables, and every change of their entries. */
import type { Kvm } from '../../../spec/kvm/kvm.ts';
import type { Spte } from '../../../spec/kvm/spte.ts';
import { DIRECT_TABLE, LINKED } from '../../../spec/kvm/tables.ts';
import { pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';
import type { AddressMap } from './address-map.ts';
import { SOFTIRQ, type TraceLog } from './log.ts';
import { spteText } from './sptes.ts';
import type { Lockless, Tasks } from './tasks.ts';

/** Role of a direct table with all access, on a processor with NX, as in the recordings. */
const ROLE = 0x6f80;
const INVALID = 1 << 12;
const AS_ID_SHIFT = 24;
const HEX_PREFIX = 2;

/** A change of an entry, with its values as text. */
interface EmittedChange {
  readonly table: PageRef;
  readonly index: number;
  readonly gfn: string;
  readonly level: number;
  readonly before: string;
  readonly after: string;
}

const bare = (text: string): string => text.slice(HEX_PREFIX);

export class TableWriter {
  private readonly kvm: Kvm;
  private readonly log: TraceLog;
  private readonly addresses: AddressMap;
  private readonly tasks: Tasks;

  constructor(kvm: Kvm, log: TraceLog, addresses: AddressMap, tasks: Tasks) {
    this.kvm = kvm;
    this.log = log;
    this.addresses = addresses;
    this.tasks = tasks;
    const { m, pages, rcu, roots, tables } = kvm;
    tables.onReady.push((table, parent) => {
      const gfn = tables.gfnOf(table, 0);
      this.born(table, addresses.table(parent, tables.index(gfn, tables.levelOf(table) + 1)));
    });
    roots.listeners.push({ linked: (root) => this.born(root, '0x0') });
    // the event's old value is the one that the writer read, not the one that it replaced
    tables.listeners.push((table, index, _found, after, _how, before) =>
      this.written(table, index, before, after),
    );
    pages.onFree.push((page) => {
      if (
        pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE ||
        !rcu.isCallback(m.current) ||
        !this.isKnown(page)
      )
        return;
      log.event(
        'free_rcu',
        'tdp_mmu_free_sp_rcu_callback+0x4',
        `head=${addresses.head(page)} spt=${addresses.table(page)}`,
        SOFTIRQ,
      );
    });
  }

  /** Whether tasks other than its creator can reach the table. */
  private isKnown(table: PageRef): boolean {
    const { tables } = this.kvm;
    return tables.stageOf(table) >= LINKED || tables.levelOf(table) === tables.rootLevel;
  }

  private gfn(table: PageRef, index: number): string {
    return `0x${this.addresses.gfn(this.kvm.tables.gfnOf(table, index)).toString(16)}`;
  }

  role(table: PageRef): string {
    const { roots, tables } = this.kvm;
    const root = tables.rootOf(table);
    const invalid = root === table && roots.isInvalid(root) ? INVALID : 0;
    const level = this.addresses.level(tables.levelOf(table));
    return `0x${(ROLE | invalid | level | (roots.asIdOf(root) << AS_ID_SHIFT)).toString(16)}`;
  }

  private born(table: PageRef, sptep: string): void {
    this.log.event(
      'init_sp',
      'tdp_mmu_init_sp+0x0',
      `sp=${this.addresses.sp(table)} spt=${this.addresses.table(table)} ` +
        `sptep=${sptep} gfn=${this.gfn(table, 0)} role=${this.role(table)}`,
    );
  }

  private written(table: PageRef, index: number, before: Spte, after: Spte): void {
    const {
      kvm: { roots, tables },
      addresses,
    } = this;
    if (!this.isKnown(table) || before === after) return;
    const level = addresses.level(tables.levelOf(table));
    const text = (spte: Spte): string =>
      spteText(spte, level, addresses, roots.adDisabled(tables.rootOf(table)));
    const { lockless } = this.tasks.mine;
    const change = {
      table,
      index,
      gfn: this.gfn(table, index),
      level,
      before: text(before),
      after: text(after),
    };
    if (lockless === null) this.changed(change);
    else this.bypassed(lockless, change);
  }

  private changed({ table, gfn, level, before, after }: EmittedChange): void {
    const {
      kvm: { m, mmuLock },
      addresses,
    } = this;
    const shared = this.tasks.mine.shared.at(-1) ?? !mmuLock.heldForWrite(m.current);
    this.log.event(
      'chg',
      '__handle_changed_spte+0x0',
      `kvm=${addresses.vm} sp=${addresses.sp(table)} spt=${addresses.table(table)} ` +
        `role=${this.role(table)} gfn=${gfn} level=${level} ` +
        `old=${before} new=${after} shared=${shared ? 1 : 0}`,
    );
  }

  /** Emits a change that bypasses the function with the probe `chg`. */
  private bypassed(
    writer: Lockless,
    { table, index, gfn, level, before, after }: EmittedChange,
  ): void {
    const {
      kvm: { roots, tables },
      addresses,
    } = this;
    if (writer === 'fault') {
      this.log.tracepoint(
        'fast_page_fault',
        `vcpu 0 gva ${bare(gfn)}000 error_code P|W|U|0x100000000 ` +
          `sptep ${bare(addresses.table(table, index))} old ${before} new ${bare(after)} ` +
          'spurious 0 fixed 1',
      );
      return;
    }
    this.log.tracepoint(
      'kvm_tdp_mmu_spte_changed',
      `as id ${roots.asIdOf(tables.rootOf(table))} gfn ${bare(gfn)} ` +
        `level ${level} old_spte ${bare(before)} new_spte ${bare(after)}`,
    );
  }
}
