/**
 * The names that recordings give to locks and to the 8-byte words whose writes they watch, and
 * those words' raw values.
 */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { Pamt, SIZES } from '../../../../spec/tdx/pamt.ts';
import { TD, VP } from '../../../../spec/tdx/td.ts';
import type { Universe } from '../universe/universe.ts';

/** A watched word: its name, and its value as the 64 bits that the recorder saw. */
interface WatchedWord {
  readonly name: string;
  readonly raw: () => bigint;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

const TD_LOCKS: ReadonlyMap<number, string> = new Map([
  [TD.OP_STATE_LOCK, 'OP_STATE'],
  [TD.SEPT_LOCK, 'SEPT_TREE'],
  [TD.EPOCH_LOCK, 'TD_EPOCH'],
]);

/** The recorder replaced SHA-384 by a function that writes this value. */
const MEASURED = 0xababababababababn;
const NOT_ASSOCIATED = 0xffffffffn;
const FIRST_MEASUREMENT = 0x240;

/**
 * From this page on, PAMT is watched only for the first two 4K pages of each 2M page. Pages from
 * 0x100800000.
 */
const SPARSE_FROM = 0x800;
const WATCHED_CHILDREN = 2;

interface Located {
  readonly page: number;
  readonly word: number;
}

export class RecordedNames {
  private readonly u: Universe;
  private readonly pages = new Map<number, string>();
  private readonly tds = new Map<number, number>();
  private readonly vcpus = new Map<number, number>();

  constructor(u: Universe) {
    this.u = u;
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
    if (at === null) return m.nameOf(cell);
    const td = this.tds.get(at.page);
    return td === undefined
      ? this.septEntry(at)
      : `TD${td}.${TD_LOCKS.get(at.word) ?? `word ${at.word}`}`;
  }

  /** The watched word that a cell is part of, or null. */
  word(cell: Cell): WatchedWord | null {
    const entry = this.u.tdx.pamt.entryOf(cell);
    if (entry !== null) return this.pamtWord(entry.page, entry.size, cell);
    const at = this.locate(cell);
    if (at === null) return null;
    if (this.tds.has(at.page)) return this.tdWord(at);
    const vcpu = this.vcpus.get(at.page);
    if (vcpu !== undefined) return this.vcpuWord(at, vcpu);
    const { tdx } = this.u;
    const tdr = tdx.pamt.owner(at.page, 0);
    return { name: this.septEntry(at), raw: () => tdx.rawEntry(tdx.m.peek(cell), tdr) };
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
  private pamtWord(page: number, size: number, cell: Cell): WatchedWord | null {
    const { pamt, m, platform } = this.u.tdx;
    const sparse = size === 0 && page >= SPARSE_FROM;
    if (sparse && page % this.u.tdx.geometry.fanout >= WATCHED_CHILDREN) return null;
    const name = this.pamtEntry(page, size);
    if (cell === pamt.bepoch(page, size))
      return { name: `${name}.bepoch`, raw: () => BigInt(m.peek(cell)) };
    if (cell !== pamt.meta(page, size)) return null;
    return {
      name: `${name}.type/owner`,
      raw: () => {
        const meta = m.peek(cell);
        const owner = Pamt.ownerOf(meta) < 0 ? 0n : BigInt(Pamt.ownerOf(meta) + platform.tdmrBase);
        return (
          BigInt(m.peek(pamt.lock(page, size))) |
          (BigInt(Pamt.typeOf(meta)) << 16n) |
          (owner << 24n)
        );
      },
    };
  }

  private tdWord({ page, word }: Located): WatchedWord | null {
    const get = (field: number): bigint =>
      BigInt(this.u.tdx.m.peek(this.u.tdx.memory.word(page, field)));
    const measured = word - TD.MEASUREMENT;
    if (measured >= 0 && measured < MEASUREMENT_WORDS) {
      return {
        name: `TDCS+${hex(FIRST_MEASUREMENT + measured * 16)}`,
        raw: () => (get(word) === 0n ? 0n : MEASURED),
      };
    }
    const counts = (): bigint => get(TD.NUM_VCPUS) | (get(TD.NUM_ASSOC_VCPUS) << 32n);
    const refcounts = (): bigint => get(TD.REFCOUNT_EVEN) | (get(TD.REFCOUNT_ODD) << 16n);
    const words: ReadonlyMap<number, WatchedWord> = new Map([
      [TD.CHLDCNT, { name: 'TDR.CHLDCNT', raw: () => get(TD.CHLDCNT) }],
      [TD.OP_STATE, { name: 'OP_STATE', raw: () => get(TD.OP_STATE) }],
      [TD.TD_EPOCH, { name: 'TD_EPOCH/REFCOUNT cell', raw: () => get(TD.TD_EPOCH) }],
      [TD.REFCOUNT_EVEN, { name: 'TD_EPOCH/REFCOUNT cell', raw: refcounts }],
      [TD.REFCOUNT_ODD, { name: 'TD_EPOCH/REFCOUNT cell', raw: refcounts }],
      [TD.NUM_VCPUS, { name: 'NUM_ASSOC_VCPUS', raw: counts }],
      [TD.NUM_ASSOC_VCPUS, { name: 'NUM_ASSOC_VCPUS', raw: counts }],
    ]);
    return words.get(word) ?? null;
  }

  private vcpuWord({ page, word }: Located, vcpu: number): WatchedWord | null {
    const get = (): bigint => BigInt(this.u.tdx.m.peek(this.u.tdx.memory.word(page, word)));
    const words: ReadonlyMap<number, WatchedWord> = new Map([
      [VP.STATE, { name: `TDVPS${vcpu}.STATE`, raw: get }],
      [VP.VCPU_EPOCH, { name: `TDVPS${vcpu}.VCPU_EPOCH`, raw: get }],
      [
        VP.ASSOC_LPID,
        {
          name: `TDVPS${vcpu}.ASSOC_LPID`,
          raw: () => (get() === 0n ? NOT_ASSOCIATED : get() - 1n),
        },
      ],
    ]);
    return words.get(word) ?? null;
  }
}

const MEASUREMENT_WORDS = 3;
