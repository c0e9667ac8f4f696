/**
 * A TD as a trace tells of it: what its Secure EPT holds at each GPA, as far as the answers of the
 * module say.
 */
import { entryName, frameOf, indexOf, kindOf, pagesAt, TABLE, type Kind } from '../state/spte.ts';
import { UNKNOWN, type Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';

export type Holds = 'free' | 'table' | 'leaf';

/**
 * An entry of the Secure EPT. Whether the guest has accepted a page is no affair of the host's, and
 * not told.
 */
export interface Entry {
  readonly holds: Holds;
  /** Of the page or table; -1 when it is not known. */
  readonly frame: number;
  /** TD_EPOCH when it was blocked; -1: it is not. */
  readonly blockedIn: number;
  /** A split has filled the table: its entries are leaves until something else is said of them. */
  readonly split: boolean;
  readonly line: number;
}

const FREE: Entry = { holds: 'free', frame: -1, blockedIn: -1, split: false, line: 0 };

/** Levels are fewer than this. */
const LEVELS = 8;
export type Key = number;
export const keyOf = (gfn: number, level: number): Key => gfn * LEVELS + level;
export const gfnOf = (key: Key): number => Math.floor(key / LEVELS);
export const levelOf = (key: Key): number => key % LEVELS;

export const alignTo = (gfn: number, level: number): number => gfn - (gfn % pagesAt(level));

/** As violations name it. */
export const nameOfKey = (key: Key): string => entryName(gfnOf(key), levelOf(key));

export const describe = (entry: Entry | null): string => {
  if (entry === null) return 'not known';
  const page = entry.frame < 0 ? '' : ` 0x${entry.frame.toString(16)}`;
  return `${entry.blockedIn < 0 ? '' : 'blocked '}${entry.holds}${page}`;
};

export class Td {
  readonly vm: Vm;
  private readonly entries = new Map<Key, Entry>();
  /** The mirror's root, from when on it is known. */
  root: Table | null = null;
  /** Counted from where the trace begins. */
  epoch = 0;
  /** Where TRACK was called last, or 0. */
  trackLine = 0;
  /** Where MR.FINALIZE succeeded, or 0. */
  finalLine = 0;
  /** No call about its memory is to come any more: VPFLUSHDONE succeeded. */
  isFlushed = false;
  /** Since then caches were written back; and the HKID is free. */
  isWrittenBack = false;
  isFreed = false;
  /** KVM has given it up. */
  isDead = false;
  /** Who has barred entries, and where. */
  barred: { readonly task: Task; readonly line: number } | null = null;
  /** vCPUs that are, or may be, inside: since which line. */
  readonly inside = new Map<Task, number>();
  /** Memslots that are being deleted, or were, by first GFN and the one after the last. */
  readonly slots: {
    readonly task: Task;
    readonly start: number;
    readonly end: number;
    over: boolean;
  }[] = [];

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** All that ever happened to it is in the trace. */
  get isSeenFromStart(): boolean {
    return this.vm.seenFromStart && this.root !== null;
  }

  /** Null when it cannot be told. */
  at(gfn: number, level: number): Entry | null {
    const known = this.entries.get(keyOf(gfn, level));
    if (known !== undefined) return known;
    const above =
      level < LEVELS - 1 ? this.entries.get(keyOf(alignTo(gfn, level + 1), level + 1)) : undefined;
    if (above?.split === true) {
      const frame = above.frame < 0 ? -1 : above.frame + (gfn - alignTo(gfn, level + 1));
      return { holds: 'leaf', frame, blockedIn: -1, split: false, line: above.line };
    }
    return this.isSeenFromStart ? FREE : null;
  }

  set(
    gfn: number,
    level: number,
    entry: Omit<Entry, 'split' | 'blockedIn'> & Partial<Entry>,
  ): void {
    this.entries.set(keyOf(gfn, level), { split: false, blockedIn: -1, ...entry });
  }

  /**
   * What is known of the entries of the table at an entry: how many, and the first that holds
   * something.
   */
  childOf(gfn: number, level: number): Key | null {
    const step = pagesAt(level - 1);
    for (let at = gfn; at < gfn + pagesAt(level); at += step) {
      const entry = this.entries.get(keyOf(at, level - 1));
      if (entry !== undefined && entry.holds !== 'free') return keyOf(at, level - 1);
    }
    return null;
  }

  /** The entries of a table that was merged are no more. */
  merge(gfn: number, level: number): void {
    const step = pagesAt(level - 1);
    for (let at = gfn; at < gfn + pagesAt(level); at += step)
      this.entries.delete(keyOf(at, level - 1));
  }

  /** The blocked table above an entry, or null. */
  blockedAbove(gfn: number, level: number): Key | null {
    for (let above = level + 1; above < LEVELS; above++) {
      const key = keyOf(alignTo(gfn, above), above);
      const entry = this.entries.get(key);
      if (entry?.holds === 'table' && entry.blockedIn >= 0) return key;
    }
    return null;
  }
}

/** An entry of the mirror. */
interface MirrorEntry {
  readonly kind: Kind;
  readonly level: number;
}

/**
 * Where the walk for a GFN ends in the mirror, at level `lowest` at the latest; null when that is
 * not known.
 */
export function mirrorAt({ root }: Td, world: World, gfn: number, lowest = 1): MirrorEntry | null {
  const layout = world.kernel?.layout;
  if (layout === undefined) return null;
  for (let table = root; table !== null;) {
    const index = indexOf(gfn, table.level);
    if (table.known[index] === UNKNOWN) return null;
    const [hi, lo] = [table.hi[index] ?? 0, table.lo[index] ?? 0];
    const kind = kindOf(layout, table.level, hi, lo);
    if (kind !== TABLE || table.level <= lowest) return { kind, level: table.level };
    table = world.tables.get(frameOf(hi, lo)) ?? null;
  }
  return null;
}
