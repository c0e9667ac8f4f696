/**
 * Frames of pages that events name by their struct page. The array of these structures begins at an
 * address that depends on the paging levels and, with KASLR, on the boot. It follows from pages
 * that the trace also names by their frames: KASLR moves it by multiples of 1G, which 2^24 frames
 * fill, so that an address fits hardly more than one of the frames seen so far. Source:
 * arch/x86/mm/kaslr.c: kernel_randomize_memory(); not measured, as no capture has such events.
 */
import type { TraceEvent } from '../reader/event.ts';

/** Bytes of a struct page. */
const STRUCT_PAGE = 64;
const GIB = 2 ** 30;
/** Addresses are kept without their upper bits. */
const ADDRESSES = 2 ** 53;
/** Bound of the pages whose frames are still to come. */
const MAX_WAITING = 64;

export class StructPages {
  /** Address of the struct page of frame 0; null while it is not known. */
  private base: number | null = null;
  /** Frames that the trace has named. */
  private readonly frames = new Set<number>();
  /** Addresses of pages that fit none of them. */
  private waiting: number[] = [];

  /** Frame of the page that an event names; -1 if it names none, or the array is not found yet. */
  frameOf(e: TraceEvent): number {
    if (e.has('pfn')) {
      this.see(e.number('pfn'));
      return e.number('pfn');
    }
    if (!e.has('page')) return -1;
    const page = e.number('page');
    if (this.base === null) this.find(page);
    if (this.base !== null) return ((page - this.base + ADDRESSES) % ADDRESSES) / STRUCT_PAGE;
    if (this.waiting.length < MAX_WAITING) this.waiting.push(page);
    return -1;
  }

  /** Notes a frame that belongs to a TD. */
  see(frame: number): void {
    if (this.base !== null) return;
    this.frames.add(frame);
    for (const page of this.waiting) this.find(page);
  }

  /** Events were lost, maybe of another boot. */
  forget(): void {
    this.frames.clear();
    this.waiting = [];
  }

  private find(page: number): void {
    const bases = new Set<number>();
    for (const frame of this.frames) {
      const base = (page - frame * STRUCT_PAGE + ADDRESSES) % ADDRESSES;
      if (base % GIB === 0) bases.add(base);
    }
    const [base] = bases;
    if (bases.size === 1 && base !== undefined) this.base = base;
  }
}
