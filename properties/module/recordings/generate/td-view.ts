/**
 * A TD as the author of a scenario sees it: entries to write about, pages to give away, vCPUs and
 * where they are.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { pageOf, stateName, stateOf, type Entry } from '../../../../spec/tdx/entry.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { RUNNABLE, TD, VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { SequentialConfig } from '../format/config.ts';
import { forEachEntry, hostWalk } from '../replay/observe.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import type { Recorder } from './record.ts';
import type { Dice } from './rng.ts';

/** An entry of the tree: GPA in bytes. */
export interface Place {
  readonly gpa: number;
  readonly level: number;
}

/** Where new pages come from: HPAs. */
export interface Pools {
  readonly small: readonly string[];
  readonly large: readonly string[];
  /** A whole GiB. */
  readonly huge: string;
}

/** GPAs that scenarios are about: neighbours in a table, in a directory, and far apart. */
const GPAS = [
  0x0, 0x40000000, 0x40001000, 0x40002000, 0x401ff000, 0x40200000, 0x40400000, 0x80000000,
  0x80003000, 0x1000000000000,
];

/** Entries of a table, as there are no others while it is not full. */
const COUNTED: ReadonlySet<number> = new Set([0, 1, 2, 3, 511]);

export class TdView {
  readonly recorder: Recorder;
  readonly dice: Dice;
  readonly config: SequentialConfig;
  readonly slot: Slot;
  protected readonly pools: Pools;

  constructor(recorder: Recorder, dice: Dice, config: SequentialConfig, pools: Pools) {
    this.recorder = recorder;
    this.dice = dice;
    this.config = config;
    this.pools = pools;
    this.slot = recorder.slot(0);
  }

  get u(): Universe {
    return this.recorder.u;
  }

  get tdr(): string {
    return this.config.tds[0]?.tdr ?? '0x0'; // there are two
  }

  field(field: number): number {
    return word(this.u, this.slot.tdr, field);
  }

  get isRunnable(): boolean {
    return this.field(TD.OP_STATE) === RUNNABLE;
  }

  get rootLevel(): number {
    return this.field(TD.ROOT_LEVEL);
  }

  /** Bytes that an entry at a level maps. */
  bytesAt(level: number): number {
    return this.u.tdx.geometry.span(level) * PAGE_BYTES;
  }

  /** Any place at a level. */
  anywhere(level: number): Place {
    const known = GPAS.filter(
      (gpa) => gpa < this.bytesAt(this.rootLevel) * this.u.tdx.geometry.fanout,
    );
    return this.at(this.dice.pick(known), level);
  }

  /** The place at a level above or below a GPA. */
  at(gpa: number, level: number): Place {
    return { gpa: gpa - (gpa % this.bytesAt(level)), level };
  }

  /**
   * An entry that is as wanted, or null when there is none. Of a full table only the first and the
   * last count.
   */
  entry(wanted: (state: string, place: Place, entry: Entry) => boolean): Place | null {
    const found: Place[] = [];
    forEachEntry(this.u, this.slot, (gfn, level, entry) => {
      const place = { gpa: gfn * PAGE_BYTES, level };
      if (COUNTED.has(gfn % 512) && wanted(stateName(stateOf(entry)), place, entry))
        found.push(place);
    });
    return this.dice.pickOrNull(found);
  }

  /** An entry in one of these states, at one of these levels. */
  entryIn(states: readonly string[], levels: readonly number[]): Place | null {
    return this.entry((state, { level }) => states.includes(state) && levels.includes(level));
  }

  /** Where a host's walk to a place ends. */
  walk({ gpa, level }: Place): { readonly at: number; readonly entry: Entry } {
    return hostWalk(this.u, this.slot, gpa, level);
  }

  /** A 4 KiB page that nobody has, if there is one; HPA. */
  freePage(): string {
    return this.freeOf(this.pools.small);
  }

  /** A 2 MiB page of which nobody has the beginning, if there is one; HPA. */
  freeLargePage(): string {
    return this.freeOf(this.pools.large);
  }

  get gigabyte(): string {
    return this.pools.huge;
  }

  private freeOf(pool: readonly string[]): string {
    const { pamt } = this.u.tdx;
    const free = pool.filter((hpa) => {
      const page = this.u.page(hpa);
      return pamt.sizeOf(page) === 0 && pamt.type(page, 0) === NDA;
    });
    return this.dice.pick(free.length > 0 ? free : pool);
  }

  /** The page that an entry leads to. */
  pageUnder(place: Place): number {
    return pageOf(this.walk(place).entry);
  }

  get vcpus(): readonly number[] {
    return [...this.slot.tdvpr.keys()];
  }

  private tdvprPage(vcpu: number): number {
    return this.slot.tdvpr[vcpu] as number; // one of `vcpus`
  }

  isInside(vcpu: number): boolean {
    return word(this.u, this.tdvprPage(vcpu), VP.STATE) === VCPU_ACTIVE;
  }

  get inside(): readonly number[] {
    return this.vcpus.filter((vcpu) => this.isInside(vcpu));
  }
}
