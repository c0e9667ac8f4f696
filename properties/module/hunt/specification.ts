/**
 * The same module, one call at a time: the specification that judges a history of calls that raced.
 *
 * A call that was refused a lock is made again with that lock held, so that it leaves the same
 * changes (docs/module-notes.md#refused-calls). If it does not reach that lock, it did nothing.
 *
 * Interrupts come from outside: a call that was interrupted can have been so at any of its checks;
 * one that was not found none pending.
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
import { EXIT, type RecordedCall } from './recorder.ts';
import { isSame, visibleState } from './visible-state.ts';

/** For `interruptAfter`: no check finds a pending interrupt. */
const NEVER = -1;
/** A lock word that is held. */
const HELD = 1;

const isBusy = ({ call }: RecordedCall): boolean =>
  call.exitReason < 0 &&
  (classOf(call.status) === OPERAND_BUSY || classOf(call.status) === OPERAND_BUSY_HOST_PRIORITY);

export class AtomicModule implements Specification<MachineState, RecordedCall> {
  readonly initial: MachineState;
  readonly key = keyOf;
  private readonly rig: ModuleRig;
  private readonly states: MachineStates;
  private readonly end: readonly number[];

  /** The rig must be in the state in which the history began; `end` is the state at its end. */
  constructor(rig: ModuleRig, end: readonly number[]) {
    this.rig = rig;
    this.end = end;
    this.states = new MachineStates(rig.m);
    this.initial = this.states.first;
  }

  close(): void {
    this.states.close();
  }

  /**
   * Whether the calls, made one after the other in this order, have the recorded answers and lead
   * to the end. Much faster than a search, and most histories are explained by the order in which
   * their calls returned or began. The rig must be in the state in which the history began, and is
   * left in another.
   */
  isOrder(calls: readonly RecordedCall[]): boolean {
    for (const made of calls) {
      if (isInterrupted(made.call)) return false; // a search tries every check
      const answer = isBusy(made) ? this.repeatRefused(made) : this.repeat(made);
      if (answer === null || !isSameAnswer(made.call, answer)) return false;
    }
    return isSame(visibleState(this.rig), this.end);
  }

  step(state: MachineState, made: RecordedCall, allow: (next: MachineState) => void): void {
    if (isBusy(made)) return this.stepRefused(state, made, allow);
    // an interrupted call has checked at least once; at which check it was interrupted is unknown
    const checks = isInterrupted(made.call) ? made.call.interruptLooks : NEVER;
    for (let check = checks > 0 ? 1 : NEVER; check <= checks; check++) {
      const { result, state: next } = this.states.after(state, () => this.repeat(made, check));
      if (result !== null && isSameAnswer(made.call, result)) allow(next);
    }
  }

  private stepRefused(
    state: MachineState,
    made: RecordedCall,
    allow: (next: MachineState) => void,
  ): void {
    const { result, state: next } = this.states.after(state, () => this.repeatRefused(made));
    if (result !== null && isSameAnswer(made.call, result)) return allow(next);
    const free = this.states.after(state, () => this.repeat(made));
    if (free.result !== null && isSameAnswer(made.call, free.result)) allow(free.state);
    else allow(state);
  }

  refusal(state: MachineState, made: RecordedCall): string {
    const { result } = this.states.after(state, () => this.repeat(made));
    return `may answer ${result === null ? 'nothing, with the vCPU outside' : answerOf(result)}`;
  }

  final(state: MachineState): string | null {
    return this.states.look(state, () =>
      isSame(visibleState(this.rig), this.end) ? null : 'no order ends in that state',
    );
  }

  /** Makes the call again, in one go; null if its vCPU is not in the guest. */
  private repeat({ name, operands, call }: RecordedCall, interruptAfter = NEVER): Call | null {
    const { m, memory } = this.rig;
    if (operands.vcpu >= 0 && m.peek(memory.word(operands.vcpu, VP.STATE)) !== VCPU_ACTIVE)
      return null;
    if (name !== EXIT) return atomically(this.rig.made(name, { ...operands, interruptAfter }));
    atomically(tdExit(this.rig.tdx, operands.vcpu));
    return call;
  }

  /** Makes the call again while the lock that refused it is held. */
  private repeatRefused(made: RecordedCall): Call | null {
    const { m } = this.rig;
    const { busyLock, status } = made.call;
    const before = m.peek(busyLock);
    const isPriority = classOf(status) === OPERAND_BUSY_HOST_PRIORITY;
    m.poke(
      busyLock,
      isPriority ? before | HOST_PRIORITY : this.isEntry(made) ? before | ENTRY_LOCK : HELD,
    );
    const answer = this.repeat(made);
    m.poke(busyLock, before);
    return answer;
  }

  /** The lock is an entry's. A TD's locks are in pages as well, but have other operands. */
  private isEntry({ call }: RecordedCall): boolean {
    return (
      operandOf(call.status) === OPERANDS.RCX && this.rig.m.nameOf(call.busyLock).startsWith('page')
    );
  }
}

const isInterrupted = ({ status, interrupted }: Call): boolean =>
  interrupted ||
  classOf(status) === INTERRUPTED_RESTARTABLE ||
  classOf(status) === INTERRUPTED_RESUMABLE;

/** Compares all that software sees, without the details of an EPT violation (several reads). */
function isSameAnswer(a: Call, b: Call): boolean {
  if (a.status !== b.status || a.exitReason !== b.exitReason || a.injectedVe !== b.injectedVe)
    return false;
  if (a.interrupted !== b.interrupted || a.wide?.r8 !== b.wide?.r8 || a.wide?.rdx !== b.wide?.rdx)
    return false;
  if (a.exitReason >= 0 || isTransient(a)) return true;
  if (a.data !== b.data) return false;
  if (a.rcx !== b.rcx || a.rdx !== b.rdx || a.r8 !== b.r8 || a.r9 !== b.r9) return false;
  return viewOf(a) === viewOf(b);
}

/** A refused call returns the entry as it was before. */
const isTransient = ({ status }: Call): boolean =>
  classOf(status) === OPERAND_BUSY || classOf(status) === OPERAND_BUSY_HOST_PRIORITY;

const viewOf = ({ rcxEntry }: Call): number =>
  rcxEntry === null ? -1 : rcxEntry & ~(ENTRY_LOCK | HOST_PRIORITY);

/** The answer of a call, for reports. */
export const answerOf = ({ status, exitReason, interrupted }: Call): string =>
  exitReason >= 0 ? `TD exit ${exitReason}` : interrupted ? 'interrupted' : describeStatus(status);
