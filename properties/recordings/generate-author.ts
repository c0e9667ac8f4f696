/**
 * Who writes a sequential scenario: looks at the TD as it is, chooses entries and pages, makes calls about them, and
 * now and then forgets a call or slips in an operand.
 */
import { isTable, stateName, stateOf, type Entry } from '../../spec/tdx/entry.ts';
import { NDA } from '../../spec/tdx/pamt.ts';
import { RUNNABLE, TD, VCPU_ACTIVE, VP } from '../../spec/tdx/td.ts';
import { forEachEntry } from './compare-final.ts';
import { hexOf } from './compare-step.ts';
import type { SequentialConfig } from './format-config.ts';
import type { StepInput } from './format-step.ts';
import type { Dice } from './generate-dice.ts';
import { slip } from './generate-slips.ts';
import { hostWalk } from './observe.ts';
import { needsVcpu } from './perform.ts';
import type { Recorder } from './record.ts';
import type { Asked } from './record-step.ts';
import { word, type Slot, type Universe } from './universe.ts';

/** An entry of the tree: GPA in bytes. */
export interface Place {
  readonly gpa: number;
  readonly level: number;
}

/** What a call may be given beyond its place. */
export type Given = Omit<StepInput, 'td'> & Readonly<Record<string, unknown>>;

export const PAGE_BYTES = 4096;
/** GPAs that scenarios are about: neighbours in a table, in a directory, and far apart. */
const GPAS = [
  0x0, 0x40000000, 0x40001000, 0x40002000, 0x401ff000, 0x40200000, 0x40400000, 0x80000000, 0x80003000, 0x1000000000000,
];
const MANAGING_LPS = [4, 5, 6, 7];
/** In a hundred calls: how many are forgotten, how many are tried with a bad operand first, and only so. */
const FORGOTTEN = 5;
const SLIPS = 20;
const GIVES_UP = 20;

export class Author {
  readonly recorder: Recorder;
  readonly dice: Dice;
  readonly config: SequentialConfig;
  readonly slot: Slot;
  private readonly pools: Pools;

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

  // Places and pages

  /** Bytes that an entry at a level maps. */
  bytesAt(level: number): number {
    return this.u.tdx.geometry.span(level) * PAGE_BYTES;
  }

  /** Any place at a level. */
  anywhere(level: number): Place {
    const known = GPAS.filter((gpa) => gpa < this.bytesAt(this.rootLevel) * this.u.tdx.geometry.fanout);
    return this.at(this.dice.pick(known), level);
  }

  /** The place at a level above or below a GPA. */
  at(gpa: number, level: number): Place {
    return { gpa: gpa - (gpa % this.bytesAt(level)), level };
  }

  /** An entry that is as wanted, or null when there is none. Of a full table, only the first entries are looked at. */
  entry(wanted: (state: string, place: Place, entry: Entry) => boolean): Place | null {
    const found: Place[] = [];
    forEachEntry(this.u, this.slot, (gfn, level, entry) => {
      const place = { gpa: gfn * PAGE_BYTES, level };
      if (gfn % 512 < 4 && wanted(stateName(stateOf(entry)), place, entry)) found.push(place);
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
    const free = this.pools.small.filter((hpa) => this.isFree(hpa, 0));
    return this.dice.pick(free.length > 0 ? free : this.pools.small);
  }

  /** A 2 MiB page of which nobody has any part, if there is one; HPA. */
  freeLargePage(): string {
    const free = this.pools.large.filter((hpa) => this.isFree(hpa, 1));
    return this.dice.pick(free.length > 0 ? free : this.pools.large);
  }

  get gigabyte(): string {
    return this.pools.huge;
  }

  /** Of a 2 MiB page, its first 4 KiB page stands for all of them. */
  private isFree(hpa: string, size: number): boolean {
    const { pamt } = this.u.tdx;
    const page = this.u.page(hpa);
    return pamt.type(page, 2) === NDA && pamt.type(page, 1) === NDA && (size === 1 || pamt.type(page, 0) === NDA)
      && pamt.type(page, 0) === NDA;
  }

  // Calls

  /** Makes a call of a managing function, unless it is forgotten; perhaps with a bad operand. */
  host(op: string, given: Given, repeat?: Asked['repeat']): void {
    if (this.dice.percent(FORGOTTEN)) return;
    const lp = this.dice.pick(MANAGING_LPS);
    const asked: Asked = { op, lp, in: { td: 0, ...given }, ...(repeat === undefined ? {} : { repeat }) };
    this.tryAsking(asked, SLIPS);
  }

  /** Makes a call; so many times in a hundred with a bad operand, which as a rule is noticed and put right. */
  private tryAsking(asked: Asked, slips: number): void {
    const slipped = asked.repeat === undefined && this.dice.percent(slips);
    if (slipped) this.ask(this.slipped(asked));
    if (!slipped || !this.dice.percent(GIVES_UP)) this.ask(asked);
  }

  /** A call about an entry: RCX its GPA and level, RDX the TD, then what else there is. */
  about(op: string, { gpa, level }: Place, more: Given = {}, repeat?: Asked['repeat']): void {
    const { regs, ...rest } = more;
    const rcx = hexOf(BigInt(gpa + level));
    this.host(op, { gpa: hexOf(BigInt(gpa)), level, ...rest, regs: { rcx, rdx: this.tdr, ...regs } }, repeat);
  }

  /** Adds a page of any size, in R8. */
  adding(op: string, place: Place, hpa: string, more: Given = {}, repeat?: Asked['repeat']): void {
    const { regs, ...rest } = more;
    this.about(op, place, { hpa, ...rest, regs: { r8: hpa, ...regs } }, repeat);
  }

  /** Version 0 as a rule, of functions that have others. */
  version(): number {
    return this.dice.weighted([[88, 0], [9, 1], [3, 2]]);
  }

  /** Makes a call as it is, if there is somebody to make it: what a guest does needs a VCPU that is inside. */
  ask(asked: Asked): void {
    const { op, in: { vcpu = -1 } } = asked;
    if (!this.recorder.halted && (!needsVcpu(op) || this.isInside(vcpu))) this.recorder.ask(asked);
  }

  private slipped(asked: Asked): Asked {
    const [own, other] = this.config.tds;
    const used = this.entryIn(['MAPPED', 'PENDING', 'NL_MAPPED', 'BLOCKED'], [0, 1, 2, 3]);
    const { base } = this.u.tdx;
    return slip(asked, this.dice, {
      tdr: BigInt(own?.tdr ?? 0),
      tdvprs: own?.tdvpr ?? [],
      otherTdr: BigInt(other?.tdr ?? 0),
      reservedPage: BigInt(this.config.reservedPage),
      somePage: BigInt(this.dice.pick(this.pools.small)),
      usedPage: used === null ? base : base + BigInt(this.pageUnder(used) * PAGE_BYTES),
      largePage: BigInt(this.dice.pick(this.pools.large)),
      sharedBit: this.config.gpaw === 1 ? 1n << 51n : 1n << 47n,
    });
  }

  /** The page that an entry leads to. */
  pageUnder(place: Place): number {
    return this.walk(place).entry & ((1 << 24) - 1);
  }

  /** Is the entry a table? */
  isTableAt(place: Place): boolean {
    const { at, entry } = this.walk(place);
    return at === place.level && isTable(entry);
  }

  // VCPUs

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

  /** A call about a VCPU: on its own LP, once in a while on another. */
  vcpuCall(op: string, vcpu: number): void {
    if (this.dice.percent(FORGOTTEN)) return;
    const lp = this.dice.percent(8) ? this.dice.pick(MANAGING_LPS) : vcpu;
    const rcx = this.config.tds[0]?.tdvpr[vcpu] ?? '0x0'; // one of `vcpus`
    this.tryAsking({ op, lp, in: { vcpu, td: 0, regs: { rcx } } }, SLIPS / 2);
  }

  /** Has a VCPU in the guest, if the module lets it. */
  enter(vcpu: number): boolean {
    if (!this.isInside(vcpu)) this.vcpuCall('TDH.VP.ENTER', vcpu);
    return this.isInside(vcpu);
  }

  /** An external interrupt takes a VCPU out. */
  leave(vcpu: number): void {
    this.ask({ op: 'HW.TD.EXIT', lp: vcpu, in: { vcpu, td: 0 } });
  }

  leaveAll(): void {
    for (const vcpu of this.inside) this.leave(vcpu);
  }

  /** TDG.MEM.PAGE.ACCEPT by a VCPU that can be brought inside. */
  accept(vcpu: number, { gpa, level }: Place, more: Given = {}, repeat?: Asked['repeat']): void {
    if (!this.enter(vcpu)) return;
    const input = { vcpu, td: 0, gpa: hexOf(BigInt(gpa)), level, ...more, regs: { rcx: hexOf(BigInt(gpa + level)) } };
    const repeated = repeat === undefined ? {} : { repeat };
    this.tryAsking({ op: 'TDG.MEM.PAGE.ACCEPT', lp: vcpu, in: input, ...repeated }, SLIPS / 2);
  }

  /** The guest touches a GPA (bytes). */
  touch(vcpu: number, gpa: number): void {
    if (this.enter(vcpu)) this.ask({ op: 'HW.GUEST.ACCESS', lp: vcpu, in: { vcpu, td: 0, gpa: hexOf(BigInt(gpa)) } });
  }
}

/** Where new pages come from: HPAs. */
export interface Pools {
  readonly small: readonly string[];
  readonly large: readonly string[];
  /** A whole GiB. */
  readonly huge: string;
}
