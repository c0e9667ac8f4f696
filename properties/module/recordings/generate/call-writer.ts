/**
 * Who writes a sequential scenario: makes calls about what the TD has, now and then forgets one,
 * and often slips in an operand first.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import type { StepInput } from '../format/step.ts';
import { hexOf } from '../format/values.ts';
import { needsVcpu } from '../replay/perform.ts';
import { slip } from './invalid-operands.ts';
import type { Asked } from './record-step.ts';
import { TdView, type Place } from './td-view.ts';

/** What a call may be given beyond its place. */
export type Given = Omit<StepInput, 'td'> & Readonly<Record<string, unknown>>;

const MANAGING_LPS = [4, 5, 6, 7];
/**
 * In a hundred calls: how many are forgotten, how many are tried with a bad operand first, and only
 * so.
 */
const FORGOTTEN = 5;
const SLIPS = 20;
const GIVES_UP = 20;
/** How often a call goes wrong while the author is confused. */
const CONFUSED = 3;

export class Author extends TdView {
  private confusion = 0;

  /** Makes a call of a managing function, unless it is forgotten; perhaps with a bad operand. */
  host(op: string, given: Given, repeat?: Asked['repeat']): void {
    if (this.dice.percent(FORGOTTEN)) return;
    const lp = this.dice.pick(MANAGING_LPS);
    const asked: Asked = {
      op,
      lp,
      in: { td: 0, ...given },
      ...(repeat === undefined ? {} : { repeat }),
    };
    this.tryAsking(asked, SLIPS);
  }

  /**
   * Makes a call; so many times in a hundred with a bad operand, which as a rule is noticed and put
   * right.
   */
  private tryAsking(asked: Asked, slips: number): void {
    const times =
      asked.repeat !== undefined ? 0 : this.confusion + (this.dice.percent(slips) ? 1 : 0);
    for (let i = 0; i < times; i++) this.ask(this.slipped(asked));
    if (times === 0 || !this.dice.percent(GIVES_UP)) this.ask(asked);
  }

  /** Tells a story in which every call goes wrong a few times. */
  confused(story: () => void): void {
    this.confusion = CONFUSED;
    story();
    this.confusion = 0;
  }

  /** A call about an entry: RCX its GPA and level, RDX the TD, then what else there is. */
  about(op: string, { gpa, level }: Place, more: Given = {}, repeat?: Asked['repeat']): void {
    const { regs, ...rest } = more;
    const rcx = hexOf(BigInt(gpa + level));
    this.host(
      op,
      { gpa: hexOf(BigInt(gpa)), level, ...rest, regs: { rcx, rdx: this.tdr, ...regs } },
      repeat,
    );
  }

  /** Adds a page of any size, in R8. */
  adding(op: string, place: Place, hpa: string, more: Given = {}, repeat?: Asked['repeat']): void {
    const { regs, ...rest } = more;
    this.about(op, place, { hpa, ...rest, regs: { r8: hpa, ...regs } }, repeat);
  }

  /** Version 0 as a rule, of functions that have others. */
  version(): number {
    return this.dice.weighted([
      [88, 0],
      [9, 1],
      [3, 2],
    ]);
  }

  /**
   * Makes a call as it is, if there is somebody to make it: what a guest does needs a vCPU that is
   * inside.
   */
  ask(asked: Asked): void {
    const {
      op,
      in: { vcpu = -1 },
    } = asked;
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

  /** A call about a vCPU: on its own LP, once in a while on another. */
  vcpuCall(op: string, vcpu: number): void {
    if (this.dice.percent(FORGOTTEN)) return;
    const lp = this.dice.percent(8) ? this.dice.pick(MANAGING_LPS) : vcpu;
    const rcx = this.config.tds[0]?.tdvpr[vcpu] ?? '0x0'; // one of `vcpus`
    this.tryAsking({ op, lp, in: { vcpu, td: 0, regs: { rcx } } }, SLIPS / 2);
  }

  /** Has a vCPU in the guest, if the module lets it. */
  enter(vcpu: number): boolean {
    if (!this.isInside(vcpu)) this.vcpuCall('TDH.VP.ENTER', vcpu);
    return this.isInside(vcpu);
  }

  /** An external interrupt takes a vCPU out. */
  leave(vcpu: number): void {
    this.ask({ op: 'HW.TD.EXIT', lp: vcpu, in: { vcpu, td: 0 } });
  }

  leaveAll(): void {
    for (const vcpu of this.inside) this.leave(vcpu);
  }

  /** TDG.MEM.PAGE.ACCEPT by a vCPU that can be brought inside. */
  accept(vcpu: number, { gpa, level }: Place, more: Given = {}, repeat?: Asked['repeat']): void {
    if (!this.enter(vcpu)) return;
    const input = {
      vcpu,
      td: 0,
      gpa: hexOf(BigInt(gpa)),
      level,
      ...more,
      regs: { rcx: hexOf(BigInt(gpa + level)) },
    };
    const repeated = repeat === undefined ? {} : { repeat };
    this.tryAsking({ op: 'TDG.MEM.PAGE.ACCEPT', lp: vcpu, in: input, ...repeated }, SLIPS / 2);
  }

  /** The guest touches a GPA (bytes). */
  touch(vcpu: number, gpa: number): void {
    if (this.enter(vcpu))
      this.ask({ op: 'HW.GUEST.ACCESS', lp: vcpu, in: { vcpu, td: 0, gpa: hexOf(BigInt(gpa)) } });
  }
}
