/**
 * The atomic specification of the module, as the checker of linearizability asks for it: an event
 * may happen in a state when the specification, asked there, answers as recorded. Compared are how
 * the call ended, RAX, every output register that the recording has, and whether it was
 * interrupted; of a call that was refused for a lock nothing but that, as in the recordings' own
 * search.
 */
import type { Call } from '../../../../spec/tdx/call.ts';
import { describeStatus, fromRax, MODULE_HALT } from '../../../../spec/tdx/status.ts';
import { advanceRip } from '../../../../spec/tdx/stepping.ts';
import { VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { Specification, Timed } from '../../../linearizability/specification.ts';
import { keyOf, MachineStates, type MachineState } from '../../machine-states.ts';
import type { FinalDump } from '../format/format.ts';
import { outputOf, type OutputName } from '../format/registers.ts';
import { followStep } from '../replay/harness.ts';
import { needsVcpu, perform, type Performed } from '../replay/perform.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { refusalOf } from './busy.ts';
import { firstDifference } from './final.ts';
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

/** Functions that only look. */
const LOOKS: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.RD',
  'TDH.MEM.RD',
  'TDH.PHYMEM.PAGE.RDMD',
]);
const OUTPUTS: readonly OutputName[] = ['rcx', 'rdx', 'r8', 'r9'];
const NOT_INSIDE = 'the vCPU is not in the guest';

/** A recorded status by its name, or as it is when it has none. */
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

  /** `u` as the prefix left it; `end` made comparable. */
  constructor(u: Universe, end: FinalDump) {
    this.u = u;
    this.end = end;
    this.states = new MachineStates(u.tdx.m);
    this.initial = this.states.first;
  }

  close(): void {
    this.states.close();
  }

  /**
   * A call that was refused for a lock did nothing, but that a guest goes on to its next
   * instruction.
   */
  silent({ event }: EventOp): boolean {
    return LOOKS.has(event.op) || (refusalOf(event) !== null && !needsVcpu(event.op));
  }

  step(state: MachineState, { event }: EventOp, allow: (next: MachineState) => void): void {
    const slot = this.slotOf(event);
    if (refusalOf(event) !== null) {
      const tdvpr = slot.tdvpr[event.in.vcpu ?? -1] ?? -1;
      if (!needsVcpu(event.op)) return allow(state);
      return allow(this.states.after(state, () => advanceRip(this.u.tdx, tdvpr)).state);
    }
    const { result, state: next } = this.states.after(state, () => this.ask(slot, event));
    if (result !== null && this.difference(result, event) === null)
      allow(LOOKS.has(event.op) ? state : next);
  }

  refusal(state: MachineState, { event }: EventOp): string {
    const { result } = this.states.after(state, () => this.ask(this.slotOf(event), event));
    return result === null ? NOT_INSIDE : (this.difference(result, event) ?? 'it is refused');
  }

  final(state: MachineState): string | null {
    return this.states.look(state, () => firstDifference(this.u, this.end));
  }

  /** Performs the event on the present state; null when there is nobody to perform it. */
  private ask(slot: Slot, event: RecordedEvent): Performed | null {
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
    const out = event['out'] as Readonly<Record<string, string>> | undefined; // shape checked on reading
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
    return this.u.slots.get(td) as Slot; // looked up on reading
  }
}
