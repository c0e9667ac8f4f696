/** Emits what listeners of an ordinary VM report: locks, flushes, invalidations, guests, tables. */
import type { Vm } from '../../../impl/vm/vm.ts';
import type { Slot } from '../../../spec/kvm/memslots.ts';
import type { EventName } from '../reader/event-table.ts';
import type { AddressMap } from './address-map.ts';
import { writeGuests } from './guests.ts';
import { writeLock } from './locks.ts';
import type { TraceLog } from './log.ts';
import { TableWriter } from './tables.ts';
import { Tasks } from './tasks.ts';

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Base of the writer of functions: events, their values, and all that listeners report. */
export class DirectEvents {
  protected vm!: Vm;
  protected log!: TraceLog;
  protected addresses!: AddressMap;
  protected tasks!: Tasks;
  protected tables!: TableWriter;

  /** Subscribes to the listeners of the VM. */
  attach(vm: Vm, log: TraceLog, addresses: AddressMap): void {
    const { kvm, m } = vm;
    Object.assign(this, { vm, log, addresses, tasks: new Tasks(m) });
    this.tables = new TableWriter(kvm, log, addresses, this.tasks);
    m.onReset(() => this.event('vm_init', 'kvm_mmu_init_tdp_mmu', ''));
    writeLock(kvm.mmuLock, m, log, addresses.vm, (mode) => this.lockTaker(mode));
    writeGuests(kvm, log, addresses);
    kvm.listeners.push({
      yielding: () => {
        this.tasks.mine.yields = true;
      },
      flushing: (gfn, pages) => this.flush(gfn, pages),
      flushed: (_gfn, pages) => this.flushed(pages),
    });
    kvm.invalidation.listeners.push({
      began: (gfn, pages) =>
        this.event('inv_add', 'kvm_mmu_invalidate_range_add', this.range(gfn, pages)),
      extended: (gfn, pages) =>
        this.event('inv_add', 'kvm_mmu_invalidate_range_add', this.range(gfn, pages)),
      // the probe is at the function's entry, and fetches the values before the change
      ended: () =>
        this.event(
          'inv_end',
          'kvm_mmu_invalidate_end',
          `seq=${kvm.invalidation.now() - 1} inprog=${kvm.invalidation.underWay() + 1}`,
        ),
    });
  }

  protected event(name: EventName, at: string, values: string): void {
    this.log.event(
      name,
      `${at}+0x4`,
      values === '' ? `kvm=${this.addresses.vm}` : `kvm=${this.addresses.vm} ${values}`,
    );
  }

  protected returned(name: EventName, from: string, to: string, values = ''): void {
    this.log.event(name, `${to}+0x40 <- ${from}`, values);
  }

  private lockTaker(mode: string): string {
    const { mine } = this.tasks;
    if (mine.yields) {
      mine.yields = false;
      return `__cond_resched_rwlock_${mode}`;
    }
    return mine.notifier === null
      ? 'kvm_mmu'
      : `kvm_mmu_notifier_invalidate_range_${mine.notifier}`;
  }

  /** Values of a range of GFNs, which is cut off at the end of what the tables can map. */
  protected range(gfn: number, pages: number): string {
    const {
      addresses,
      vm: {
        kvm: { tables },
      },
    } = this;
    const end = Math.min(gfn + pages, Math.max(gfn, 2 * tables.span(tables.rootLevel + 1)));
    return `start=${hex(addresses.gfn(gfn))} end=${hex(addresses.gfn(end))}`;
  }

  protected span(gfn: number, pages: number): string {
    return hex(this.addresses.gfn(gfn + pages) - this.addresses.gfn(gfn));
  }

  protected slot(slot: Slot): string {
    const {
      addresses,
      vm: {
        kvm: { slots },
      },
    } = this;
    const gfn = slots.gfnOf(slot);
    return `base=${hex(addresses.gfn(gfn))} n=${this.span(gfn, slots.place(slot).pages)}`;
  }

  private isEverything(pages: number): boolean {
    const { tables } = this.vm.kvm;
    return pages >= tables.span(tables.rootLevel + 1);
  }

  private flush(gfn: number, pages: number): void {
    if (this.isEverything(pages)) this.event('flush', 'kvm_flush_remote_tlbs', '');
    else
      this.event(
        'flush_range',
        'kvm_flush_remote_tlbs_range',
        `gfn=${hex(this.addresses.gfn(gfn))} n=${this.span(gfn, pages)}`,
      );
  }

  private flushed(pages: number): void {
    const what = this.isEverything(pages) ? '' : '_range';
    this.returned(`flush${what}_ret`, `kvm_flush_remote_tlbs${what}`, 'kvm_mmu');
  }
}
