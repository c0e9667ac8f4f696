/** Selects entries, free pages and vCPUs of a TD for the calls of a scenario. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { pageOf, stateName, stateOf, type Entry } from '../../../../spec/tdx/entry.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { RUNNABLE, TD, VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { SequentialConfig } from '../format/config.ts';
import { forEachEntry, hostWalk } from '../replay/observe.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import type { Recorder } from './record.ts';
import type { Rng } from './rng.ts';

/** The location of an entry in the tree: GPA in bytes. */
export interface Location {
  readonly gpa: number;
  readonly level: number;
}

/** HPAs of the pages that can be added. */
export interface Pools {
  readonly small: readonly string[];
  readonly large: readonly string[];
  /** A whole GiB. */
  readonly huge: string;
}

/** GPAs of scenarios: neighbours in one table, in two tables of one parent, and far apart. */
const GPAS = [
  0x0, 0x40000000, 0x40001000, 0x40002000, 0x401ff000, 0x40200000, 0x40400000, 0x80000000,
  0x80003000, 0x1000000000000,
];

/** Indexes of the selected entries: all of a table that is not full, some of a full one. */
const COUNTED: ReadonlySet<number> = new Set([0, 1, 2, 3, 511]);

export class TdView {
  readonly recorder: Recorder;
  readonly rng: Rng;
  readonly config: SequentialConfig;
  readonly slot: Slot;
  protected readonly pools: Pools;

  constructor(recorder: Recorder, rng: Rng, config: SequentialConfig, pools: Pools) {
    this.recorder = recorder;
    this.rng = rng;
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

  /** The location of any entry at a level. */
  anyLocation(level: number): Location {
    const known = GPAS.filter(
      (gpa) => gpa < this.bytesAt(this.rootLevel) * this.u.tdx.geometry.fanout,
    );
    return this.at(this.rng.pick(known), level);
  }

  /** The location of the entry at a level for a GPA. */
  at(gpa: number, level: number): Location {
    return { gpa: gpa - (gpa % this.bytesAt(level)), level };
  }

  /** Any entry that is `wanted`, or null. Of a full table, only a few entries are considered. */
  entry(wanted: (state: string, location: Location, entry: Entry) => boolean): Location | null {
    const found: Location[] = [];
    forEachEntry(this.u, this.slot, (gfn, level, entry) => {
      const location = { gpa: gfn * PAGE_BYTES, level };
      if (COUNTED.has(gfn % 512) && wanted(stateName(stateOf(entry)), location, entry))
        found.push(location);
    });
    return this.rng.pickOrNull(found);
  }

  /** An entry in one of these states, at one of these levels. */
  entryIn(states: readonly string[], levels: readonly number[]): Location | null {
    return this.entry((state, { level }) => states.includes(state) && levels.includes(level));
  }

  /** The entry at which a host walk to a location ends. */
  walk({ gpa, level }: Location): { readonly at: number; readonly entry: Entry } {
    return hostWalk(this.u, this.slot, gpa, level);
  }

  /** HPA of a 4K page that is free; of any page if none is. */
  freePage(): string {
    return this.freeOf(this.pools.small);
  }

  /** HPA of a 2M page whose first 4K are free; of any page if there is none. */
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
    return this.rng.pick(free.length > 0 ? free : pool);
  }

  /** The page that an entry points to. */
  pageUnder(location: Location): number {
    return pageOf(this.walk(location).entry);
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
