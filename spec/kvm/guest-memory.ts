/**
 * The host pages behind a TD's private memory (guest_memfd).
 *
 * A GFN whose page was released gets another page next time, so that a stale translation visibly
 * reaches memory that no longer belongs to the guest. Neighbouring GFNs have neighbouring pages, so
 * that huge mappings are possible.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { RMW, type Steps, access } from '../machine/step.ts';
import { Folios } from './folios.ts';

const BANKS = 2;

/** Bits of a GFN's marks. */
const FOR_WRITING = 1;
const LEAKED = 2;

/** Private pages of a TD, by GFN. */
export class GuestMemory {
  private readonly m: Machine;
  readonly gfns: number;
  readonly folios: Folios;
  /** First page of the range that backs the guest: {@link BANKS} banks of `gfns` pages. */
  private readonly first: number;
  /** Per GFN: number of times its page was released, times two, plus one while it is backed. */
  private readonly state: Cell;
  /** Per GFN: bit 0, its page was looked up for writing; bit 1, its page is leaked (K51). */
  private readonly marks: Cell;

  /** @param span number of GFNs of a large folio. */
  constructor(m: Machine, gfns: number, first: number, span: number) {
    this.m = m;
    this.gfns = gfns;
    this.first = first;
    this.folios = new Folios(m, gfns, span);
    this.state = m.segment('guest_memfd', gfns, (gfn) => `guest_memfd[${gfn}]`);
    this.marks = m.segment('guest_memfd marks', gfns, (gfn) => `guest_memfd[${gfn}].marks`);
    for (let gfn = 0; gfn < gfns; gfn++) m.guard(this.state + gfn, 1, this.folios.cell(gfn));
  }

  /** Number of host pages that can back the guest. */
  get pages(): number {
    return this.gfns * BANKS;
  }

  /**
   * Returns the page that backs `gfn`, and allocates it if there was none, in one step. Until it is
   * looked up for writing it may be shared with other readers: the zero page, or one to be copied
   * on write (K61).
   */
  *fault(gfn: number, forWriting = true): Steps<number> {
    yield access(this.state + gfn, RMW);
    this.back(gfn, forWriting);
    return this.pageOf(gfn);
  }

  /** The page of `gfn` was looked up for writing, and so is not shared. */
  isWritable(gfn: number): boolean {
    return (this.m.peek(this.marks + gfn) & FOR_WRITING) !== 0;
  }

  /** Leaks the page of `gfn`, within the current step: the module may still own it. */
  leak(gfn: number): void {
    this.m.poke(this.marks + gfn, this.m.peek(this.marks + gfn) | LEAKED);
  }

  isLeaked(gfn: number): boolean {
    return (this.m.peek(this.marks + gfn) & LEAKED) !== 0;
  }

  /**
   * Returns the page that backs `gfn`, and allocates it with its folio, in one step. An unbacked
   * range gets a large folio if contiguous pages are available.
   */
  *faultFolio(gfn: number): Steps<number> {
    const { folios } = this;
    yield access(folios.cell(gfn), RMW);
    if (!this.rangeOf(gfn).some((at) => this.isBacked(at)))
      folios.setLarge(gfn, this.isContiguous(gfn));
    if (folios.isLarge(gfn)) for (const at of this.rangeOf(gfn)) this.back(at);
    this.back(gfn);
    return this.pageOf(gfn);
  }

  private back(gfn: number, forWriting = true): void {
    this.m.poke(this.state + gfn, this.m.peek(this.state + gfn) | 1);
    if (forWriting) this.m.poke(this.marks + gfn, this.m.peek(this.marks + gfn) | FOR_WRITING);
  }

  private rangeOf(gfn: number): number[] {
    return Array.from({ length: this.folios.span }, (_, i) => this.folios.first(gfn) + i);
  }

  /** The pages of the range of `gfn` are, or would be, contiguous. */
  private isContiguous(gfn: number): boolean {
    const first = this.folios.first(gfn);
    return this.rangeOf(gfn).every((at) => this.pageOf(at) - this.pageOf(first) === at - first);
  }

  /** The page that backs `gfn`, or would back it. */
  pageOf(gfn: number): number {
    return this.first + (this.timesReturned(gfn) % BANKS) * this.gfns + gfn;
  }

  /** Number of times a page of `gfn` was released. */
  timesReturned(gfn: number): number {
    return this.m.peek(this.state + gfn) >> 1;
  }

  isBacked(gfn: number): boolean {
    return (this.m.peek(this.state + gfn) & 1) === 1;
  }

  /** `page` backs `gfn` now. */
  backs(page: number, gfn: number): boolean {
    return this.isBacked(gfn) && this.pageOf(gfn) === page;
  }

  /**
   * Releases the page of `gfn` to the host; returns the page, or -1 when there was none or it is
   * leaked. A large folio of which other pages are in use is split first.
   */
  *release(gfn: number): Steps<number> {
    do {
      if (this.isPartOfMore(gfn)) yield* this.folios.split(gfn);
      yield access(this.state + gfn, RMW);
      // a fault may have made it part of a large folio meanwhile
    } while (this.isPartOfMore(gfn));
    if (!this.isBacked(gfn) || this.isLeaked(gfn)) return -1;
    this.m.poke(this.marks + gfn, 0);
    const page = this.pageOf(gfn);
    this.m.poke(this.state + gfn, (this.m.peek(this.state + gfn) & ~1) + 2);
    return page;
  }

  /** Other pages of the large folio behind `gfn` are in use. */
  private isPartOfMore(gfn: number): boolean {
    return (
      this.folios.isLarge(gfn) && this.rangeOf(gfn).some((at) => at !== gfn && this.isBacked(at))
    );
  }

  /** Merges the pages of the range of `gfn` into one folio if they are contiguous, in one step. */
  *mergeFolio(gfn: number): Steps<void> {
    yield access(this.folios.cell(gfn), RMW);
    if (this.isContiguous(gfn)) this.folios.setLarge(gfn, true);
  }
}
