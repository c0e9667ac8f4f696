/**
 * The names that recordings give to locks and to the 8-byte words whose writes they watch, and
 * those words' raw values.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { Pamt, SIZES } from '../../../../spec/tdx/pamt.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import { conventionsOf, type Conventions, type LockType } from '../setups/conventions.ts';
import type { Universe } from '../universe/universe.ts';
import { WORD_LAYOUTS, type WordLayout, type WordRow } from './word-layouts.ts';

/** A watched word: its name, and its value as the 64 bits that the recorder saw. */
interface WatchedWord {
  readonly name: string;
  readonly raw: () => bigint;
  /** It is a time, of which only whether it is 0 means something. */
  readonly isTime?: true;
  /** A write of it is seen after the next one. */
  readonly isLate?: boolean;
}

/** A watched word at some time. */
export interface Snapshot {
  readonly name: string;
  readonly value: bigint;
  readonly isTime: boolean;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

const TD_LOCKS: ReadonlyMap<number, string> = new Map([
  [TD.OP_STATE_LOCK, 'OP_STATE'],
  [TD.SEPT_LOCK, 'SEPT_TREE'],
  [TD.EPOCH_LOCK, 'TD_EPOCH'],
]);

/** From this page on, 0x100800000, PAMT is watched only for two 4K pages of each 2M page. */
const SPARSE_FROM = 0x800;

interface Located {
  readonly page: number;
  readonly word: number;
}

export class RecordedNames {
  private readonly u: Universe;
  private readonly pages = new Map<number, string>();
  private readonly tds = new Map<number, number>();
  private readonly vcpus = new Map<number, number>();
  private readonly conventions: Conventions;
  private readonly layout: WordLayout;

  constructor(u: Universe) {
    this.u = u;
    this.conventions = conventionsOf(u.tdx.version);
    this.layout = WORD_LAYOUTS[this.conventions.tables];
    for (const { td, tdr, tdvpr } of u.slots.values()) {
      this.tds.set(tdr, td);
      this.pages.set(tdr, `TDR${td}`);
      tdvpr.forEach((page, vcpu) => {
        this.vcpus.set(page, vcpu);
        this.pages.set(page, `TDVPR${td}.${vcpu}`);
      });
    }
  }

  /** A lock's name. An entry lock is named after its entry. */
  lock(cell: Cell): string {
    const { pamt, m } = this.u.tdx;
    const entry = pamt.entryOf(cell);
    if (entry !== null) return this.pamtEntry(entry.page, entry.size);
    const at = this.locate(cell);
    if (at === null) return m.nameOf(cell).replace('pkg ', this.conventions.packagePrefix);
    const td = this.tds.get(at.page);
    return td === undefined
      ? this.septEntry(at)
      : `TD${td}.${TD_LOCKS.get(at.word) ?? `word ${at.word}`}`;
  }

  /** The watched words that a cell is part of. */
  words(cell: Cell): readonly WatchedWord[] {
    const entry = this.u.tdx.pamt.entryOf(cell);
    if (entry !== null) return this.pamtWords(entry.page, entry.size, cell);
    const at = this.locate(cell);
    if (at === null) return [];
    if (this.tds.has(at.page)) return this.wordsOf(this.layout.td, at, '');
    const vcpu = this.vcpus.get(at.page);
    if (vcpu !== undefined) return this.wordsOf(this.layout.vcpu, at, `TDVPS${vcpu}.`);
    const { tdx } = this.u;
    const tdr = tdx.pamt.owner(at.page, 0);
    return [{ name: this.septEntry(at), raw: () => tdx.rawEntry(tdx.m.peek(cell), tdr) }];
  }

  /** The kind of a lock. */
  lockType(cell: Cell): LockType {
    const { pamt, keys } = this.u.tdx;
    if (cell === keys.ketLock) return 'hardware';
    if (cell === keys.lock) return 'sharex';
    if (pamt.entryOf(cell) !== null) return 'sharexHp';
    const at = this.locate(cell);
    if (at === null) return 'mutex';
    if (!this.tds.has(at.page)) return 'entry';
    return at.word === TD.OP_STATE_LOCK ? 'sharexHp' : 'sharex';
  }

  /** The watched words of TD 0 and its vCPUs, as they are now. */
  snapshot(): readonly Snapshot[] {
    const slot = this.u.slots.get(0);
    const vcpus = slot?.tdvpr.map((page, vcpu) => ({ page, prefix: `TDVPS${vcpu}.` })) ?? [];
    const words = [
      ...this.layout.td.map((row) => this.wordIn(row, slot?.tdr ?? 0, '')),
      ...vcpus.flatMap(({ page, prefix }) =>
        this.layout.vcpu.map((row) => this.wordIn(row, page, prefix)),
      ),
    ];
    return words.map(({ name, raw, isTime = false }) => ({ name, value: raw(), isTime }));
  }

  /** The cell is the lock of the processor's key table. */
  isKeyTable(cell: Cell): boolean {
    return cell === this.u.tdx.keys.ketLock;
  }

  /** The cell is in no control structure: a Secure EPT entry, if it is locked. */
  isEntry(cell: Cell): boolean {
    const at = this.u.tdx.pamt.entryOf(cell) === null ? this.locate(cell) : null;
    return at !== null && !this.tds.has(at.page) && !this.vcpus.has(at.page);
  }

  private wordsOf(
    rows: readonly WordRow[],
    { page, word }: Located,
    prefix: string,
  ): readonly WatchedWord[] {
    return rows
      .filter(({ fields }) => fields.includes(word))
      .map((row) => this.wordIn(row, page, prefix));
  }

  private wordIn({ name, raw, isTime }: WordRow, page: number, prefix: string): WatchedWord {
    const { m, memory } = this.u.tdx;
    const get = (field: number): bigint => BigInt(m.peek(memory.word(page, field)));
    const time = isTime === undefined ? {} : { isTime };
    return { name: `${prefix}${name}`, raw: () => raw(get), ...time };
  }

  private locate(cell: Cell): Located | null {
    const match = /^page (\d+) word (\d+)$/.exec(this.u.tdx.m.nameOf(cell));
    return match === null ? null : { page: Number(match[1]), word: Number(match[2]) };
  }

  private address(page: number): string {
    return hex(this.u.tdx.base + (BigInt(page) << 12n));
  }

  private pamtEntry(page: number, size: number): string {
    const name = size === 0 ? this.pages.get(page) : undefined;
    return `PAMT_${SIZES[size] ?? size}[${name ?? this.address(page)}]`;
  }

  private septEntry({ page, word }: Located): string {
    return `SEPT_ENTRY[page=${this.address(page)},idx=${word}]`;
  }

  /**
   * Type and owner share a word with the lock: 16 bits of lock, 8 of type, 40 of the owner's page
   * number.
   */
  private pamtWords(page: number, size: number, cell: Cell): readonly WatchedWord[] {
    const { pamt, m, platform } = this.u.tdx;
    const sparse = size === 0 && page >= SPARSE_FROM;
    const { watchedChildren } = this.conventions;
    const { fanout } = this.u.tdx.geometry;
    if (sparse && !watchedChildren.includes(page % fanout)) return [];
    const name = this.pamtEntry(page, size);
    if (cell === pamt.bepoch(page, size))
      return [{ name: `${name}.bepoch`, raw: () => BigInt(m.peek(cell)) }];
    if (cell !== pamt.meta(page, size)) return [];
    const raw = (): bigint => {
      const meta = m.peek(cell);
      const owner = Pamt.ownerOf(meta) < 0 ? 0n : BigInt(Pamt.ownerOf(meta) + platform.tdmrBase);
      return (
        BigInt(m.peek(pamt.lock(page, size))) | (BigInt(Pamt.typeOf(meta)) << 16n) | (owner << 24n)
      );
    };
    const isLate = this.conventions.isSecondChildLate && sparse && page % fanout !== 0;
    return [{ name: `${name}.type/owner`, raw, isLate }];
  }
}
