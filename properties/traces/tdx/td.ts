/** A TD: the entries of its Secure EPT, as far as the results of the module's calls show them. */
import { entryName, frameOf, indexOf, kindOf, pagesAt, TABLE, type Kind } from '../state/spte.ts';
import { UNKNOWN, type Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';

type Holds = 'free' | 'table' | 'leaf';

/** An entry of the Secure EPT. No event shows whether the guest has accepted a page. */
export interface Entry {
  readonly holds: Holds;
  /** Frame of the page or table; -1 when it is not known. */
  readonly frame: number;
  /** TD_EPOCH when it was blocked; -1 when it is not blocked. */
  readonly blockedIn: number;
  /** A split filled the table: its entries are leaves until a call changes them. */
  readonly split: boolean;
  readonly line: number;
}

const FREE: Entry = { holds: 'free', frame: -1, blockedIn: -1, split: false, line: 0 };

/** Upper bound of levels, exclusive. */
const LEVELS = 8;
export type Key = number;
export const keyOf = (gfn: number, level: number): Key => gfn * LEVELS + level;
export const gfnOf = (key: Key): number => Math.floor(key / LEVELS);
export const levelOf = (key: Key): number => key % LEVELS;

export const alignTo = (gfn: number, level: number): number => gfn - (gfn % pagesAt(level));

/** Name of an entry in violations. */
export const nameOfKey = (key: Key): string => entryName(gfnOf(key), levelOf(key));

export const describe = (entry: Entry | null): string => {
  if (entry === null) return 'not known';
  const page = entry.frame < 0 ? '' : ` 0x${entry.frame.toString(16)}`;
  return `${entry.blockedIn < 0 ? '' : 'blocked '}${entry.holds}${page}`;
};

export class Td {
  readonly vm: Vm;
  private readonly entries = new Map<Key, Entry>();
  /** Root of the mirror; null while it is not known. */
  root: Table | null = null;
  /** TD_EPOCH, counted from the beginning of the trace. */
  epoch = 0;
  /** Line of the last TRACK, or 0. */
  trackLine = 0;
  /** Line at which MR.FINALIZE succeeded, or 0. */
  finalLine = 0;
  /** VPFLUSHDONE succeeded, so that no call on its memory may follow. */
  isFlushed = false;
  /** Caches were written back after that. */
  isWrittenBack = false;
  /** Its HKID is free. */
  isFreed = false;
  /** KVM has marked it dead. */
  isDead = false;
  /** Task that has barred vCPUs from entering, and the line; null when none has. */
  barred: { readonly task: Task; readonly line: number } | null = null;
  /** Tasks whose vCPUs are, or may be, inside, with the line of their entry. */
  readonly inside = new Map<Task, number>();
  /** Memslots that are being deleted, or were: [start, end) in GFNs. */
  readonly slots: {
    readonly task: Task;
    readonly start: number;
    readonly end: number;
    over: boolean;
  }[] = [];

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** Its creation is in the trace, so that all of its entries are known. */
  get isSeenFromStart(): boolean {
    return this.vm.seenFromStart && this.root !== null;
  }

  /** Returns the entry of a GFN at `level`; null when it is not known. */
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

  /** Returns the first entry that is known not to be free, in the table that an entry points to. */
  childOf(gfn: number, level: number): Key | null {
    const step = pagesAt(level - 1);
    for (let at = gfn; at < gfn + pagesAt(level); at += step) {
      const entry = this.entries.get(keyOf(at, level - 1));
      if (entry !== undefined && entry.holds !== 'free') return keyOf(at, level - 1);
    }
    return null;
  }

  /** Removes the entries of a table that was merged. */
  merge(gfn: number, level: number): void {
    const step = pagesAt(level - 1);
    for (let at = gfn; at < gfn + pagesAt(level); at += step)
      this.entries.delete(keyOf(at, level - 1));
  }

  /** Returns the blocked entry that points to a table above an entry, or null. */
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
 * Returns the entry at which the walk for a GFN ends in the mirror, or null when it is not known.
 * The walk stops at level `lowest` at the latest.
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
