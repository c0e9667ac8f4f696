/**
 * The primary MMU's side of a guest's private memory (guest_memfd): which host page backs a GFN,
 * and since when.
 *
 * A GFN whose page was given back gets another page next time, so that a translation kept too long
 * is seen to reach memory that is no longer the guest's. Pages of neighbouring GFNs are neighbours,
 * so that huge mappings are possible.
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
  /** Per GFN: how often it was given back, times two, plus one while it is backed. */
  private readonly state: Cell;
  /** Per GFN: bit 0, its page was looked up for writing; bit 1, its page is lost to the host (K51). */
  private readonly marks: Cell;

  /** `span`: GFNs of a large folio. */
  constructor(m: Machine, gfns: number, first: number, span: number) {
    this.m = m;
    this.gfns = gfns;
    this.first = first;
    this.folios = new Folios(m, gfns, span);
    this.state = m.segment('guest_memfd', gfns, (gfn) => `guest_memfd[${gfn}]`);
    this.marks = m.segment('guest_memfd marks', gfns, (gfn) => `guest_memfd[${gfn}].marks`);
    for (let gfn = 0; gfn < gfns; gfn++) m.guard(this.state + gfn, 1, this.folios.cell(gfn));
  }

  /** The pages of the host that can back the guest. */
  get pages(): number {
    return this.gfns * BANKS;
  }

  /**
   * The page that backs `gfn`, allocated if there was none, in one step. Looked up for reading
   * only, it may be one that others read, too (the zero page, one to be copied on write), until
   * somebody looks it up for writing (K61).
   */
  *fault(gfn: number, forWriting = true): Steps<number> {
    yield access(this.state + gfn, RMW);
    this.back(gfn, forWriting);
    return this.pageOf(gfn);
  }

  /** Its page was looked up for writing: nobody else reads it. */
  isWritable(gfn: number): boolean {
    return (this.m.peek(this.marks + gfn) & FOR_WRITING) !== 0;
  }

  /** The host gives up the page of `gfn`, within the current step: the module may still own it. */
  leak(gfn: number): void {
    this.m.poke(this.marks + gfn, this.m.peek(this.marks + gfn) | LEAKED);
  }

  isLeaked(gfn: number): boolean {
    return (this.m.peek(this.marks + gfn) & LEAKED) !== 0;
  }

  /**
   * The page that backs `gfn`, and with it those of its folio, in one step. Where nothing is behind
   * the range a large folio is allocated, if pages in a row are to be had.
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

  /** The pages of the range of `gfn` are, or would be, in a row. */
  private isContiguous(gfn: number): boolean {
    const first = this.folios.first(gfn);
    return this.rangeOf(gfn).every((at) => this.pageOf(at) - this.pageOf(first) === at - first);
  }

  /** The page that backs `gfn`, or would. */
  pageOf(gfn: number): number {
    return this.first + (this.timesReturned(gfn) % BANKS) * this.gfns + gfn;
  }

  /** How often a page of `gfn` was given back. */
  timesReturned(gfn: number): number {
    return this.m.peek(this.state + gfn) >> 1;
  }

  isBacked(gfn: number): boolean {
    return (this.m.peek(this.state + gfn) & 1) === 1;
  }

  /** Does `page` back `gfn` now? */
  backs(page: number, gfn: number): boolean {
    return this.isBacked(gfn) && this.pageOf(gfn) === page;
  }

  /**
   * Gives the page of `gfn` back to the host; the page, or -1 when there was none, or it is lost. A
   * folio that stays is split first.
   */
  *release(gfn: number): Steps<number> {
    do {
      if (this.isPartOfMore(gfn)) yield* this.folios.split(gfn);
      yield access(this.state + gfn, RMW);
      // a fault may have made a folio of it meanwhile
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

  /** Makes one folio of the pages behind the range of `gfn`, if they are in a row, in one step. */
  *mergeFolio(gfn: number): Steps<void> {
    yield access(this.folios.cell(gfn), RMW);
    if (this.isContiguous(gfn)) this.folios.setLarge(gfn, true);
  }
}
