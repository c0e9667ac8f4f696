/**
 * The folios of guest_memfd: whether the range of a large page is backed by one folio, or by small
 * pages. KVM may map a range large only while one folio is behind all of it; who splits or frees
 * the folio has to have KVM split the mapping first. Source: the huge page series for TDX, v3 (Jan
 * 2026), "mapping level is at most the folio's"; K67.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { READ, RMW, type Steps, access } from '../machine/step.ts';

/** Folios of guest_memfd: sizes, and splits. */
export class Folios {
  /** Told of the first GFN of a folio at the step that splits it. */
  readonly listeners: ((gfn: number) => void)[] = [];
  /** GFNs of a large folio. */
  readonly span: number;
  private readonly m: Machine;
  /** Per range: 1 when small pages are behind it. */
  private readonly small: Cell;

  constructor(m: Machine, gfns: number, span: number) {
    this.m = m;
    this.span = span;
    this.small = m.segment('folio', gfns / span, (i) => `folio[${i * span}].small`);
  }

  /** The cell that decides over the folio of `gfn`, to be announced. */
  cell(gfn: number): Cell {
    return this.small + Math.floor(gfn / this.span);
  }

  /** First GFN of the folio of `gfn`, were it large. */
  first(gfn: number): number {
    return gfn - (gfn % this.span);
  }

  /** One folio is behind the whole range of `gfn`, within the current step. */
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

  /** Within the current step. */
  setLarge(gfn: number, large: boolean): void {
    this.m.poke(this.cell(gfn), large ? 0 : 1);
  }
}
