/**
 * The folios of guest_memfd: whether one folio or small pages back the range of a large page. KVM
 * may map a range large only while one folio backs all of it; before a folio is split or freed, KVM
 * has to split the mapping. Source: huge page series for TDX, v3 (Jan 2026), "mapping level is at
 * most the folio's"; K67.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { READ, RMW, type Steps, access } from '../machine/step.ts';

/** Folios of guest_memfd: sizes, and splits. */
export class Folios {
  /** Called with the first GFN of a folio at the step that splits it. */
  readonly listeners: ((gfn: number) => void)[] = [];
  /** Number of GFNs of a large folio. */
  readonly span: number;
  private readonly m: Machine;
  /** Per range: 1 when small pages back it. */
  private readonly small: Cell;

  constructor(m: Machine, gfns: number, span: number) {
    this.m = m;
    this.span = span;
    this.small = m.segment('folio', gfns / span, (i) => `folio[${i * span}].small`);
  }

  /** Cell with the size of the folio of `gfn`, to be announced. */
  cell(gfn: number): Cell {
    return this.small + Math.floor(gfn / this.span);
  }

  /** First GFN of the large folio that `gfn` is, or would be, in. */
  first(gfn: number): number {
    return gfn - (gfn % this.span);
  }

  /** One folio backs the whole range of `gfn`. Within the current step. */
  isLarge(gfn: number): boolean {
    return this.m.peek(this.cell(gfn)) === 0;
  }

  /** The largest level at which `gfn` may be mapped, in one step. */
  *level(gfn: number): Steps<number> {
    yield access(this.cell(gfn), READ);
    return this.isLarge(gfn) ? 1 : 0;
  }

  /** Splits the folio of `gfn`, if it is large, in one step. */
  *split(gfn: number): Steps<void> {
    yield access(this.cell(gfn), RMW);
    if (!this.isLarge(gfn)) return;
    this.setLarge(gfn, false);
    for (const listener of this.listeners) listener(this.first(gfn));
  }

  /** Sets the size of the folio of `gfn`, within the current step. */
  setLarge(gfn: number, large: boolean): void {
    this.m.poke(this.cell(gfn), large ? 0 : 1);
  }
}
