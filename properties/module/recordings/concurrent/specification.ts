/**
 * The atomic specification of the module, for the checker of linearizability: an event is allowed
 * in a state if the specification gives the recorded result there. Compared are the kind of result,
 * RAX, every recorded output register, and whether the call was interrupted. A call that was
 * refused for a lock is allowed in any state.
 */
import type { Call } from '../../../../spec/tdx/call.ts';
import { describeStatus, fromRax, MODULE_HALT } from '../../../../spec/tdx/status.ts';
import { advanceRip } from '../../../../spec/tdx/stepping.ts';
import { VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { Specification, Timed } from '../../../linearizability/specification.ts';
import { keyOf, MachineStates, type MachineState } from '../../machine-states.ts';
import { outputOf, type OutputName } from '../format/registers.ts';
import type { FinalDump } from '../format/scenario.ts';
import { followStep } from '../replay/harness.ts';
import { needsVcpu, perform, type Performed } from '../replay/perform.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { refusalOf } from './busy-causes.ts';
import { firstDifference } from './final-state.ts';
import type { RecordedEvent } from './format.ts';

/** An event as an operation of a history. */
export interface EventOp extends Timed {
  readonly event: RecordedEvent;
}

export const operationOf = (event: RecordedEvent): EventOp => ({
  event,
  invoked: event.inv,
  returned: event.ret,
});

/** Functions that change nothing. */
const READS: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.RD',
  'TDH.MEM.RD',
  'TDH.PHYMEM.PAGE.RDMD',
]);
const OUTPUTS: readonly OutputName[] = ['rcx', 'rdx', 'r8', 'r9'];
const NOT_INSIDE = 'the vCPU is not in the guest';

/** The name of a recorded status; the number itself if it has none. */
function nameOf(recorded: string): string {
  const status = fromRax(BigInt(recorded));
  return status === null ? recorded : describeStatus(status);
}

export class ModuleSpecification implements Specification<MachineState, EventOp> {
  readonly initial: MachineState;
  readonly key = keyOf;
  private readonly u: Universe;
  private readonly states: MachineStates;
  private readonly end: FinalDump;

  /** `u` is in the state after the prefix; `end` has been through comparable(). */
  constructor(u: Universe, end: FinalDump) {
    this.u = u;
    this.end = end;
    this.states = new MachineStates(u.tdx.m);
    this.initial = this.states.first;
  }

  close(): void {
    this.states.close();
  }

  /** A call that was refused a lock did nothing, but a guest advances to its next instruction. */
  silent({ event }: EventOp): boolean {
    return READS.has(event.op) || (refusalOf(event) !== null && !needsVcpu(event.op));
  }

  step(state: MachineState, { event }: EventOp, allow: (next: MachineState) => void): void {
    const slot = this.slotOf(event);
    if (refusalOf(event) !== null) {
      const tdvpr = slot.tdvpr[event.in.vcpu ?? -1] ?? -1;
      if (!needsVcpu(event.op)) return allow(state);
      return allow(this.states.after(state, () => advanceRip(this.u.tdx, tdvpr)).state);
    }
    const { result, state: next } = this.states.after(state, () => this.perform(slot, event));
    if (result !== null && this.difference(result, event) === null)
      allow(READS.has(event.op) ? state : next);
  }

  refusal(state: MachineState, { event }: EventOp): string {
    const { result } = this.states.after(state, () => this.perform(this.slotOf(event), event));
    return result === null ? NOT_INSIDE : (this.difference(result, event) ?? 'it is refused');
  }

  final(state: MachineState): string | null {
    return this.states.look(state, () => firstDifference(this.u, this.end));
  }

  /** Performs the event on the current state; null if its vCPU is not in the guest. */
  private perform(slot: Slot, event: RecordedEvent): Performed | null {
    const tdvpr = slot.tdvpr[event.in.vcpu ?? -1] ?? -1;
    if (needsVcpu(event.op) && word(this.u, tdvpr, VP.STATE) !== VCPU_ACTIVE) return null;
    const done = perform(this.u, slot, event);
    followStep(this.u, slot, event, done);
    return done;
  }

  private difference(done: Performed, event: RecordedEvent): string | null {
    const { call, result, rax } = done;
    if (result !== event.result)
      return `it may end with ${result} ${describeStatus(call.status)}, not ${event.result}`;
    if (call.status === MODULE_HALT) return null;
    if (BigInt(event.status) !== rax)
      return `it may answer ${describeStatus(call.status)}, not ${nameOf(event.status)}`;
    if ((event['interrupted'] === true) !== call.interrupted)
      return `it is ${call.interrupted ? '' : 'not '}interrupted`;
    return this.outputDifference(call, event);
  }

  private outputDifference(call: Call, event: RecordedEvent): string | null {
    // shape checked on reading
    const out = event['out'] as Readonly<Record<string, string>> | undefined;
    for (const name of OUTPUTS) {
      const recorded = out?.[name];
      if (recorded === undefined) continue;
      const ours = outputOf(this.u.tdx, this.u.tokens, call, name, event.in.regs ?? {}, 0);
      if (ours !== null && BigInt(recorded) !== ours)
        return `${name} may be 0x${ours.toString(16)}, not ${recorded}`;
    }
    return null;
  }

  private slotOf({ in: { td } }: RecordedEvent): Slot {
    return this.u.slots.get(td) as Slot; // checked on reading
  }
}
