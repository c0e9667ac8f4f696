/**
 * The hardware's page walk, in steps that interleave with those of other actors: the TLB lookup,
 * one read per level from the deepest paging-structure entry down, and the update of accessed and
 * dirty bits.
 *
 * The table format defines what an entry means, so the same walker serves an EPT that KVM writes
 * and a Secure EPT. Nothing keeps a table alive for the hardware: an actor that frees one has to
 * flush first. Source: Intel SDM volume 3, "EPT Translation Mechanism", "Accessed and Dirty Flags
 * for EPT", "Operations that Invalidate Cached Mappings".
 */
import type { Cell, Machine } from './machine.ts';
import { READ, RMW, type Steps, access } from './step.ts';
import { ALL_ACCESS, WRITE_ACCESS, type Permissions, type Spans, type Tlb } from './tlb.ts';

/** A table or a page, as an entry encodes it. */
export type Target = number;

/** A table format, as the hardware needs it. Entries are cells; GFNs and levels are numbers. */
export interface TableFormat extends Spans {
  /** Level of the root's entries, and the level at which every entry is a leaf. */
  readonly rootLevel: number;
  readonly leafLevel: number;
  /** Cell of the entry for `gfn` in `table`, to be announced. */
  cell(table: Target, gfn: number, level: number): Cell;
  /** Called in each step that reads or writes `table`, to report a table that has been freed. */
  touch(table: Target): void;
  /** Accesses that the entry permits; 0 when it is not present. */
  permissions(entry: number): Permissions;
  isLeaf(entry: number, level: number): boolean;
  /** The entry is present and invalid: reserved bits are set, or it is write-only. */
  isMisconfigured(entry: number, level: number): boolean;
  /** The table or page that the entry points to. */
  target(entry: number): Target;
  /** The entry with its A bit set, and for a write its D bit, where the format has such bits. */
  marked(entry: number, level: number, isWrite: boolean): number;
  /** Called when the hardware sets A or D in the entry through which it reaches `gfn`. */
  marking?(before: number, after: number, gfn: number): void;
}

/** How a walk ends. */
export const TRANSLATED = 0;
/** An entry is not present. */
export const ABSENT = 1;
/** The entries, or their copies in the TLB, do not permit the access. */
export const FORBIDDEN = 2;
export const MISCONFIGURED = 3;
export const WALK_ENDS = ['translated', 'absent', 'forbidden', 'misconfigured'] as const;
export type WalkEnd = 0 | 1 | 2 | 3;

/** The page walker of one vCPU. It holds the outcome of its last walk. */
export class Walker {
  /** The page that the leaf points to; the first page when the leaf maps several. */
  page: Target = -1;
  /** Index of `gfn`'s page among them. */
  offset = 0;
  /** Level of the leaf, or of the entry that stopped the walk. */
  level = 0;
  /** The translation came from the TLB. */
  hit = false;

  private readonly m: Machine;
  private readonly format: TableFormat;
  readonly tlb: Tlb;

  constructor(m: Machine, format: TableFormat, tlb: Tlb) {
    this.m = m;
    this.format = format;
    this.tlb = tlb;
  }

  /** Translates `gfn` under `root` for an access that needs the permissions `wanted`. */
  *translate(root: Target, gfn: number, wanted: Permissions): Steps<WalkEnd> {
    const isWrite = (wanted & WRITE_ACCESS) !== 0;
    yield access(this.tlb.cell, READ);
    const { translations, tables } = this.tlb;
    const slot = translations.find(root, gfn);
    this.hit = slot >= 0;
    if (this.hit) {
      this.level = translations.level(slot);
      if ((translations.permissions(slot) & wanted) !== wanted)
        return this.fault(FORBIDDEN, root, gfn);
      if (!isWrite || translations.isDirty(slot)) return this.found(translations.target(slot), gfn);
      this.hit = false;
    }
    const start = tables.find(root, gfn);
    if (start < 0)
      return yield* this.walk(root, gfn, wanted, root, this.format.rootLevel, ALL_ACCESS);
    const below = tables.level(start) - 1;
    return yield* this.walk(
      root,
      gfn,
      wanted,
      tables.target(start),
      below,
      tables.permissions(start),
    );
  }

  /**
   * Walks from `from`, whose entries are of level `top` and are reached with the permissions
   * `granted`.
   */
  private *walk(
    root: Target,
    gfn: number,
    wanted: Permissions,
    from: Target,
    top: number,
    granted: Permissions,
  ): Steps<WalkEnd> {
    const { m, format, tlb } = this;
    const isWrite = (wanted & WRITE_ACCESS) !== 0;
    let table = from;
    let level = top;
    for (;;) {
      const cell = format.cell(table, gfn, level);
      yield access(cell, READ);
      format.touch(table);
      const entry = m.peek(cell);
      const permissions = granted & format.permissions(entry);
      this.level = level;
      if (format.permissions(entry) === 0) return this.fault(ABSENT, root, gfn);
      if (format.isMisconfigured(entry, level)) return this.fault(MISCONFIGURED, root, gfn);
      const isLeaf = format.isLeaf(entry, level);
      if (isLeaf && (permissions & wanted) !== wanted) return this.fault(FORBIDDEN, root, gfn);
      const marked = format.marked(entry, level, isLeaf && isWrite);
      if (marked !== entry) {
        yield access(cell, RMW);
        format.touch(table);
        if (m.peek(cell) !== entry) continue; // another actor changed the entry: read it again
        m.poke(cell, marked);
        format.marking?.(entry, marked, gfn);
      }
      if (isLeaf) {
        const isDirty = format.marked(marked, level, true) === marked;
        tlb.translations.put(root, gfn, level, permissions, isDirty, format.target(entry));
        return this.found(format.target(entry), gfn);
      }
      table = format.target(entry);
      granted = permissions;
      tlb.tables.put(root, gfn, level, granted, false, table);
      level--;
    }
  }

  private found(page: Target, gfn: number): WalkEnd {
    this.page = page;
    this.offset = gfn % this.format.span(this.level);
    return TRANSLATED;
  }

  /** Ends the walk with a fault, by which the hardware drops what it has cached for the address. */
  private fault(end: WalkEnd, root: Target, gfn: number): WalkEnd {
    this.page = -1;
    this.tlb.translations.dropRange(gfn, 1, root);
    this.tlb.tables.dropRange(gfn, 1, root);
    return end;
  }
}
