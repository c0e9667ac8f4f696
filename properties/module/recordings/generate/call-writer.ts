/**
 * Writes the calls of a sequential scenario. It makes calls about what the TD has, skips some, and
 * makes some with an invalid operand first.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import type { StepInput } from '../format/step.ts';
import { hexOf } from '../format/values.ts';
import { needsVcpu } from '../replay/perform.ts';
import { withInvalidOperand } from './invalid-operands.ts';
import type { CallRequest } from './record-step.ts';
import { TdView, type Location } from './td-view.ts';

/** The inputs of a call beyond the location of its entry. */
type CallInput = Omit<StepInput, 'td'> & Readonly<Record<string, unknown>>;

const MANAGING_LPS = [4, 5, 6, 7];
/** Percentage of calls that are skipped. */
const SKIPPED = 5;
/** Percentage of calls that are made with an invalid operand first. */
const INVALID_FIRST = 20;
/** Percentage of those that are not made correctly afterwards. */
const INVALID_ONLY = 20;
/** Number of invalid calls before each call in withInvalidOperands(). */
const INVALID_IN_A_ROW = 3;

export class CallWriter extends TdView {
  private invalidCalls = 0;

  /** Makes a call of a host function, perhaps with an invalid operand first; skips some calls. */
  host(op: string, input: CallInput, repeat?: CallRequest['repeat']): void {
    if (this.rng.percent(SKIPPED)) return;
    const lp = this.rng.pick(MANAGING_LPS);
    const request: CallRequest = {
      op,
      lp,
      in: { td: 0, ...input },
      ...(repeat === undefined ? {} : { repeat }),
    };
    this.attempt(request, INVALID_FIRST);
  }

  /** Makes a call; `percentage` of the calls are made with an invalid operand first. */
  private attempt(request: CallRequest, percentage: number): void {
    const times =
      request.repeat !== undefined ? 0 : this.invalidCalls + (this.rng.percent(percentage) ? 1 : 0);
    for (let i = 0; i < times; i++) this.call(this.invalidated(request));
    if (times === 0 || !this.rng.percent(INVALID_ONLY)) this.call(request);
  }

  /** Writes a fragment in which every call is made with invalid operands a few times first. */
  withInvalidOperands(fragment: () => void): void {
    this.invalidCalls = INVALID_IN_A_ROW;
    fragment();
    this.invalidCalls = 0;
  }

  /** Makes a call about an entry: RCX holds GPA and level, RDX the TD. */
  onEntry(
    op: string,
    { gpa, level }: Location,
    more: CallInput = {},
    repeat?: CallRequest['repeat'],
  ): void {
    const { regs, ...rest } = more;
    const rcx = hexOf(BigInt(gpa + level));
    this.host(
      op,
      { gpa: hexOf(BigInt(gpa)), level, ...rest, regs: { rcx, rdx: this.tdr, ...regs } },
      repeat,
    );
  }

  /** Makes a call about an entry and a page of any size, in R8. */
  withPage(
    op: string,
    location: Location,
    hpa: string,
    more: CallInput = {},
    repeat?: CallRequest['repeat'],
  ): void {
    const { regs, ...rest } = more;
    this.onEntry(op, location, { hpa, ...rest, regs: { r8: hpa, ...regs } }, repeat);
  }

  /** A version of a function that has several; mostly 0. */
  version(): number {
    return this.rng.weighted([
      [88, 0],
      [9, 1],
      [3, 2],
    ]);
  }

  /** Makes a call; a guest's call only if its vCPU is in the guest. */
  call(request: CallRequest): void {
    const {
      op,
      in: { vcpu = -1 },
    } = request;
    if (!this.recorder.halted && (!needsVcpu(op) || this.isInside(vcpu)))
      this.recorder.call(request);
  }

  private invalidated(request: CallRequest): CallRequest {
    const [own, other] = this.config.tds;
    const used = this.entryIn(['MAPPED', 'PENDING', 'NL_MAPPED', 'BLOCKED'], [0, 1, 2, 3]);
    const { base } = this.u.tdx;
    return withInvalidOperand(request, this.rng, {
      tdr: BigInt(own?.tdr ?? 0),
      tdvprs: own?.tdvpr ?? [],
      otherTdr: BigInt(other?.tdr ?? 0),
      reservedPage: BigInt(this.config.reservedPage),
      somePage: BigInt(this.rng.pick(this.pools.small)),
      usedPage: used === null ? base : base + BigInt(this.pageUnder(used) * PAGE_BYTES),
      largePage: BigInt(this.rng.pick(this.pools.large)),
      sharedBit: this.config.gpaw === 1 ? 1n << 51n : 1n << 47n,
    });
  }

  /** Makes a call about a vCPU, mostly on its own LP. */
  onVcpu(op: string, vcpu: number): void {
    if (this.rng.percent(SKIPPED)) return;
    const lp = this.rng.percent(8) ? this.rng.pick(MANAGING_LPS) : vcpu;
    const rcx = this.config.tds[0]?.tdvpr[vcpu] ?? '0x0'; // one of `vcpus`
    this.attempt({ op, lp, in: { vcpu, td: 0, regs: { rcx } } }, INVALID_FIRST / 2);
  }

  /** Makes a vCPU enter unless it is in the guest. Returns whether it is there afterwards. */
  enter(vcpu: number): boolean {
    if (!this.isInside(vcpu)) this.onVcpu('TDH.VP.ENTER', vcpu);
    return this.isInside(vcpu);
  }

  /** A vCPU leaves for an external interrupt. */
  leave(vcpu: number): void {
    this.call({ op: 'HW.TD.EXIT', lp: vcpu, in: { vcpu, td: 0 } });
  }

  leaveAll(): void {
    for (const vcpu of this.inside) this.leave(vcpu);
  }

  /** Makes a vCPU enter and call TDG.MEM.PAGE.ACCEPT. */
  accept(
    vcpu: number,
    { gpa, level }: Location,
    more: CallInput = {},
    repeat?: CallRequest['repeat'],
  ): void {
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
    const request = { op: 'TDG.MEM.PAGE.ACCEPT', lp: vcpu, in: input, ...repeated };
    this.attempt(request, INVALID_FIRST / 2);
  }

  /** Makes a vCPU enter and access a GPA (bytes). */
  touch(vcpu: number, gpa: number): void {
    if (this.enter(vcpu))
      this.call({ op: 'HW.GUEST.ACCESS', lp: vcpu, in: { vcpu, td: 0, gpa: hexOf(BigInt(gpa)) } });
  }
}
