/**
 * The same module, one call at a time: what a history of calls that raced is judged by.
 *
 * A call that was refused a lock is asked again with that lock held, so that what such a call
 * leaves behind (findings, "Refused calls that leave something behind") is what it leaves here.
 * Where it would not have come to that lock, it did nothing.
 *
 * Whether an interrupt is pending is nobody's call to say: one that was interrupted may have been
 * so at any look, one that was not saw none.
 */
import { atomically } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { ENTRY_LOCK, HOST_PRIORITY } from '../../../spec/tdx/entry.ts';
import { tdExit } from '../../../spec/tdx/guest/td-exit.ts';
import {
  classOf,
  describeStatus,
  INTERRUPTED_RESTARTABLE,
  INTERRUPTED_RESUMABLE,
  OPERAND_BUSY,
  OPERAND_BUSY_HOST_PRIORITY,
  operandOf,
  OPERANDS,
} from '../../../spec/tdx/status.ts';
import { VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';
import type { Specification } from '../../linearizability/specification.ts';
import { keyOf, MachineStates, type MachineState } from '../machine-states.ts';
import type { ModuleRig } from '../rig/rig.ts';
import { isSame, stateOf } from './final.ts';
import { EXIT, type MadeCall } from './recorder.ts';

/** For `interruptAfter`: no look finds an interrupt pending. */
const NEVER = -1;
/** A lock word, or an S-EPT entry, that says it is held. */
const HELD = 1;

export const isBusy = ({ call }: MadeCall): boolean =>
  call.exitReason < 0 &&
  (classOf(call.status) === OPERAND_BUSY || classOf(call.status) === OPERAND_BUSY_HOST_PRIORITY);

export class AtomicModule implements Specification<MachineState, MadeCall> {
  readonly initial: MachineState;
  readonly key = keyOf;
  private readonly rig: ModuleRig;
  private readonly states: MachineStates;
  private readonly end: readonly number[];

  /** The rig has to be in the state in which the history began; `end` is how it ended. */
  constructor(rig: ModuleRig, end: readonly number[]) {
    this.rig = rig;
    this.end = end;
    this.states = new MachineStates(rig.m);
    this.initial = this.states.first;
  }

  close(): void {
    this.states.close();
  }

  step(state: MachineState, made: MadeCall, allow: (next: MachineState) => void): void {
    if (isBusy(made)) return this.stepRefused(state, made, allow);
    // one that was interrupted looked at least once; at which look is not known
    const looks = isInterrupted(made.call) ? made.call.interruptLooks : NEVER;
    for (let look = looks > 0 ? 1 : NEVER; look <= looks; look++) {
      const { result, state: next } = this.states.after(state, () => this.ask(made, look));
      if (result !== null && isSameAnswer(made.call, result)) allow(next);
    }
  }

  private stepRefused(
    state: MachineState,
    made: MadeCall,
    allow: (next: MachineState) => void,
  ): void {
    const { result, state: next } = this.states.after(state, () => this.refused(made));
    if (result !== null && isSameAnswer(made.call, result)) return allow(next);
    const free = this.states.after(state, () => this.ask(made));
    if (free.result !== null && isSameAnswer(made.call, free.result)) allow(free.state);
    else allow(state);
  }

  refusal(state: MachineState, made: MadeCall): string {
    const { result } = this.states.after(state, () => this.ask(made));
    return `may answer ${result === null ? 'nothing, with the vCPU outside' : answerOf(result)}`;
  }

  final(state: MachineState): string | null {
    return this.states.look(state, () =>
      isSame(stateOf(this.rig), this.end) ? null : 'no order ends in that state',
    );
  }

  /** Makes the call, nobody in between; null when its vCPU is not in the guest. */
  private ask({ name, operands, call }: MadeCall, interruptAfter = NEVER): Call | null {
    const { m, memory } = this.rig;
    if (operands.vcpu >= 0 && m.peek(memory.word(operands.vcpu, VP.STATE)) !== VCPU_ACTIVE)
      return null;
    if (name !== EXIT) return atomically(this.rig.invoke(name, { ...operands, interruptAfter }));
    atomically(tdExit(this.rig.tdx, operands.vcpu));
    return call;
  }

  /** Makes the call while somebody holds the lock that refused it. */
  private refused(made: MadeCall): Call | null {
    const { m } = this.rig;
    const { busyLock, status } = made.call;
    const before = m.peek(busyLock);
    const isPriority = classOf(status) === OPERAND_BUSY_HOST_PRIORITY;
    m.poke(
      busyLock,
      isPriority ? before | HOST_PRIORITY : this.isEntry(made) ? before | ENTRY_LOCK : HELD,
    );
    const answer = this.ask(made);
    m.poke(busyLock, before);
    return answer;
  }

  /** Entries are in pages, as the locks of the TD are, whose names in a status are their own. */
  private isEntry({ call }: MadeCall): boolean {
    return (
      operandOf(call.status) === OPERANDS.RCX && this.rig.m.nameOf(call.busyLock).startsWith('page')
    );
  }
}

const isInterrupted = ({ status, interrupted }: Call): boolean =>
  interrupted ||
  classOf(status) === INTERRUPTED_RESTARTABLE ||
  classOf(status) === INTERRUPTED_RESUMABLE;

/** Everything that software is told. An EPT violation's details are of several looks at the tree. */
function isSameAnswer(a: Call, b: Call): boolean {
  if (a.status !== b.status || a.exitReason !== b.exitReason || a.injectedVe !== b.injectedVe)
    return false;
  if (a.interrupted !== b.interrupted || a.wide?.r8 !== b.wide?.r8 || a.wide?.rdx !== b.wide?.rdx)
    return false;
  if (a.exitReason >= 0 || isTransient(a)) return true;
  return a.rcx === b.rcx && a.rdx === b.rdx && a.r8 === b.r8 && viewOf(a) === viewOf(b);
}

/** A refused call tells what the entry was before. */
const isTransient = ({ status }: Call): boolean =>
  classOf(status) === OPERAND_BUSY || classOf(status) === OPERAND_BUSY_HOST_PRIORITY;

const viewOf = ({ rcxEntry }: Call): number =>
  rcxEntry === null ? -1 : rcxEntry & ~(ENTRY_LOCK | HOST_PRIORITY);

/** What a call answered, as reports have it. */
export const answerOf = ({ status, exitReason, interrupted }: Call): string =>
  exitReason >= 0 ? `TD exit ${exitReason}` : interrupted ? 'interrupted' : describeStatus(status);
