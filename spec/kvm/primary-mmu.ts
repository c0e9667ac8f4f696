/**
 * The primary MMU: the page tables of the VMM's own process, which back the guest's shared memory.
 * It maps user addresses (HVA, here in pages) to host pages, writable or not, small or huge, and
 * may unmap them at any time; notifiers inform KVM.
 *
 * An address whose page was unmapped gets another page next time, so that a stale translation
 * visibly reaches memory that no longer belongs to the guest.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { RwLock } from '../machine/rwlock.ts';
import { READ, RMW, WRITE, type Steps, access } from '../machine/step.ts';

/** Number of pages that can back an address, in turn. */
const BANKS = 2;

const BACKED = 1;
const WRITABLE = 2;
/** In the first address of a group: one huge folio backs the group. */
const HUGE = 4;
const TIMES_SHIFT = 3;

/** Events of the primary MMU. */
export interface PrimaryListener {
  /** The page that backed `hva` has just been released to the host. */
  released?(hva: number, page: number): void;
  /** KVM has looked up the level at which an address is mapped. */
  levelAsked?(): void;
  /** KVM has taken, or dropped, a reference to a page. */
  got?(page: number): void;
  put?(page: number): void;
}

/** The primary MMU: pages behind user addresses, and their references. */
export class PrimaryMmu {
  readonly listeners: PrimaryListener[] = [];
  /** Held for write to merge small pages into huge folios, for read to unmap pages. */
  readonly mmapLock: RwLock;
  private readonly m: Machine;
  readonly addresses: number;
  private readonly first: number;
  /** Number of addresses that a huge folio backs. */
  private readonly span: number;
  private readonly state: Cell;

  /**
   * @param first the first of the {@link pages} that can back the user addresses.
   * @param span number of addresses that a huge folio backs; it divides the others.
   */
  constructor(m: Machine, addresses: number, first: number, span: number, name = 'primary MMU') {
    this.m = m;
    this.mmapLock = new RwLock(m, `mmap_lock of ${name}`);
    this.addresses = addresses;
    this.first = first;
    this.span = span;
    this.state = m.segment(name, addresses, (hva) => `${name}[${hva}]`);
    for (let hva = 0; hva < addresses; hva += span) m.poke(this.state + hva, HUGE);
  }

  /** Number of host pages that can back addresses. */
  get pages(): number {
    return this.addresses * BANKS;
  }

  private peek(hva: number): number {
    return this.m.peek(this.state + hva);
  }

  /** The page is one that can back addresses. */
  owns(page: number): boolean {
    return page >= this.first && page < this.first + this.pages;
  }

  pageOf(hva: number): number {
    return this.first + ((this.peek(hva) >> TIMES_SHIFT) % BANKS) * this.addresses + hva;
  }

  isBacked(hva: number): boolean {
    return (this.peek(hva) & BACKED) !== 0;
  }

  isWritable(hva: number): boolean {
    return (this.peek(hva) & WRITABLE) !== 0;
  }

  /** `page` backs `hva` now. */
  backs(page: number, hva: number): boolean {
    return this.isBacked(hva) && this.pageOf(hva) === page;
  }

  /** First address of the group, backed by one huge folio or not, that contains `hva`. */
  headOf(hva: number): number {
    return hva - (hva % this.span);
  }

  /** One huge folio backs, or would back, the group of addresses that contains `hva`. */
  isHuge(hva: number): boolean {
    return (this.peek(this.headOf(hva)) & HUGE) !== 0;
  }

  /** Level at which the host maps `hva`: 1 when one huge folio backs its group of addresses. */
  levelOf(hva: number): number {
    const head = this.headOf(hva);
    if ((this.peek(head) & HUGE) === 0 || !this.isBacked(head)) return 0;
    const [page, isWritable] = [this.pageOf(head), this.isWritable(head)];
    for (let i = 1; i < this.span; i++) {
      const at = head + i;
      const alike = this.pageOf(at) === page + i && this.isWritable(at) === isWritable;
      if (!alike || !this.isBacked(at)) return 0;
    }
    return 1;
  }

  /** {@link levelOf} in one step. Valid only under mmu_lock, after the check for a stale fault. */
  *mappingLevel(hva: number): Steps<number> {
    yield access(this.state + this.headOf(hva), READ);
    for (const listener of this.listeners) listener.levelAsked?.();
    return this.levelOf(hva);
  }

  /**
   * Returns the page that backs `hva`, with a reference that the caller has to put, in one step. A
   * huge folio is mapped whole. A write makes the mapping writable; a read leaves a new mapping
   * read-only (the zero page, a page shared after fork).
   */
  *fault(hva: number, write: boolean): Steps<number> {
    yield access(this.state + hva, RMW);
    const head = this.headOf(hva);
    const huge = (this.peek(head) & HUGE) !== 0;
    for (let at = huge ? head : hva; at < (huge ? head + this.span : hva + 1); at++) {
      this.m.poke(this.state + at, this.peek(at) | BACKED | (write ? WRITABLE : 0));
    }
    const page = this.pageOf(hva);
    for (const listener of this.listeners) listener.got?.(page);
    return page;
  }

  /** Puts the reference that {@link fault} took. */
  *put(page: number): Steps<void> {
    yield access(this.state, RMW);
    for (const listener of this.listeners) listener.put?.(page);
  }

  /** Unmaps the page of `hva` (munmap, migration, swap) in one step; returns it, or -1 for none. */
  *release(hva: number): Steps<number> {
    yield access(this.state + hva, RMW);
    if (!this.isBacked(hva)) return -1;
    const page = this.pageOf(hva);
    this.m.poke(
      this.state + hva,
      (this.peek(hva) & HUGE) | (((this.peek(hva) >> TIMES_SHIFT) + 1) << TIMES_SHIFT),
    );
    for (const listener of this.listeners) listener.released?.(hva, page);
    return page;
  }

  /** Makes the mapping of `hva` read-only (fork, KSM, mprotect). */
  *protect(hva: number): Steps<void> {
    yield access(this.state + hva, WRITE);
    this.m.poke(this.state + hva, this.peek(hva) & ~WRITABLE);
  }

  /** Splits the huge folio at `hva`, or lets the next fault back its group with a huge folio. */
  *setHuge(hva: number, huge: boolean): Steps<void> {
    const head = this.headOf(hva);
    yield access(this.state + head, WRITE);
    this.m.poke(this.state + head, huge ? this.peek(head) | HUGE : this.peek(head) & ~HUGE);
  }
}
