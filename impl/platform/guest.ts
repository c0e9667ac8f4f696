/**
 * A vCPU thread of a TD: it enters the TD, executes the guest's operations one instruction after
 * the other, leaves on a kick, and passes EPT violations to the policy. The guest is well-behaved:
 * it accepts a page when the module reports it as pending, and then uses it.
 */
import { EXIT_PENDING, EXIT_WRITE } from '../../spec/kvm/vcpu-exit.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { READ_ACCESS, WRITE_ACCESS } from '../../spec/machine/tlb.ts';
import { TRANSLATED } from '../../spec/machine/walker.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { pageAccept } from '../../spec/tdx/guest/accept.ts';
import { guestAccess } from '../../spec/tdx/guest/access.ts';
import { tdExit } from '../../spec/tdx/guest/td-exit.ts';
import { acceptLevelOf, PENDING_TYPE } from '../../spec/tdx/guest/violation.ts';
import * as S from '../../spec/tdx/status.ts';
import { TD } from '../../spec/tdx/td.ts';
import { enterOnce, isInside } from '../blocks/entry.ts';
import { isSlotGoing } from '../blocks/fault.ts';
import { isStatus, succeeded, type Vm, type VmVcpu } from '../vm/vm.ts';

export { isInside } from '../blocks/entry.ts';

/** What a guest operation does with its page. */
export type GuestAction = 'touch' | 'read' | 'accept' | 'accept-huge';

/** Progress of an instruction of the guest. */
const AGAIN = 0;
const DONE = 1;
/** The vCPU has exited to user space: the GFN has no memory. */
const STOPPED = 2;
/** As AGAIN, because a host call has priority. */
const REFUSED = 3;
type Progress = typeof AGAIN | typeof DONE | typeof STOPPED | typeof REFUSED;

/**
 * Number of refusals in a row, for a host call's priority, after which the module's HP_LOCK_TIMEOUT
 * is over and the vCPU leaves the TD with TDX_HOST_PRIORITY_BUSY_TIMEOUT. The module waits for one
 * second, which is longer than any retry of KVM; so is this number. It is reached only if the host
 * never retries, e.g. because the memslot was deleted first. KVM does not handle this exit and
 * passes it to user space. Source: Linux, arch/x86/kvm/vmx/tdx.c: tdx_handle_exit().
 */
const HP_LOCK_TIMEOUT = 500;

/** Executes one guest operation on `gfn`; `written` is the value that a touch writes. */
export function* guestOperation(
  vm: Vm,
  vcpu: VmVcpu,
  action: GuestAction,
  gfn: number,
  written: number,
): Steps<void> {
  for (let refusals = 0; refusals < HP_LOCK_TIMEOUT;) {
    if ((yield* enterTd(vm, vcpu)) === STOPPED) return;
    const progress =
      action === 'touch' || action === 'read'
        ? yield* access(vm, vcpu, gfn, action === 'touch' ? written : null)
        : yield* accept(vm, vcpu, gfn, action === 'accept-huge' ? 1 : 0);
    if (progress === DONE || progress === STOPPED) return;
    refusals = progress === REFUSED ? refusals + 1 : 0;
  }
  yield* leaveTd(vm, vcpu);
}

/** The guest computes without accessing memory: the vCPU stays inside unless it is kicked. */
export function* guestIdle(vm: Vm, vcpu: VmVcpu): Steps<void> {
  for (let i = 0; i < IDLE_INSTRUCTIONS; i++) {
    if ((yield* enterTd(vm, vcpu)) === STOPPED) return;
    yield* vm.m.relax(vcpu.kvm.cell);
  }
}

/**
 * Runs `body` with #VE on pending pages disabled, as a guest can whose TD has FLEXIBLE_PENDING_VE
 * (TDG.VM.WR of TD_CTLS): an access to a pending page leaves the TD instead.
 */
export function* withoutVe(vm: Vm, body: Steps<void>): Steps<void> {
  const disabled = vm.memory.word(vm.tdr, TD.SEPT_VE_DISABLE);
  yield* vm.m.write(disabled, 1);
  yield* body;
  yield* vm.m.write(disabled, 0);
}

const IDLE_INSTRUCTIONS = 8;

/** Enters the TD, unless the vCPU is inside and nothing is requested of it. */
function* enterTd(vm: Vm, vcpu: VmVcpu): Steps<Progress> {
  if (isInside(vm, vcpu)) {
    if (!(yield* vcpu.kvm.notices())) return DONE;
    yield* leaveTd(vm, vcpu);
    yield* handleExit(vm, vcpu);
  }
  for (;;) {
    if (vm.td.isDead()) return STOPPED;
    vcpu.kvm.clearRequests(); // KVM injects the event; on a signal user space calls KVM_RUN again
    if (yield* vm.policy.enter?.(vm, vcpu) ?? enterOnce(vm, vcpu)) return DONE;
    if ((yield* handleExit(vm, vcpu)) === STOPPED) return STOPPED;
    yield* vm.m.relax(vm.noEntry);
  }
}

/** Leaves the TD because of an interrupt. */
export function* leaveTd(vm: Vm, vcpu: VmVcpu): Steps<void> {
  yield* tdExit(vm.tdx, vcpu.tdvpr);
  yield* vcpu.kvm.leave();
  vcpu.exit.interrupt();
}

/** Handles the vCPU's last exit, inside an SRCU section: memslots do not change under a handler. */
function* handleExit(vm: Vm, vcpu: VmVcpu): Steps<Progress> {
  const { acceptLevel, gfn, serial, isThere, isViolation } = vcpu.exit;
  if (isThere) for (const listener of vm.listeners) listener.exitHandled?.(vcpu.index, serial);
  if (!isViolation) return AGAIN; // the host has handled the interrupt already
  vm.td.srcu.enter();
  for (const listener of vm.listeners) listener.faultBegan?.(vcpu.index, gfn, acceptLevel);
  const mayRetry: unknown = yield* vm.policy.fault(vm, vcpu.index, gfn, acceptLevel);
  if (typeof mayRetry !== 'boolean') {
    throw new TypeError(
      `fault returned ${String(mayRetry)} instead of true (retry) or false (no memslot)`,
    );
  }
  for (const listener of vm.listeners)
    listener.faultEnded?.(vcpu.index, gfn, acceptLevel, mayRetry);
  vm.td.srcu.leave();
  // the guest would fault again at once: the deletion of the slot runs first
  if (isSlotGoing(vm, gfn)) yield* vm.m.relax(vm.slot);
  return mayRetry ? AGAIN : STOPPED;
}

/** Executes one access. */
function* access(vm: Vm, vcpu: VmVcpu, gfn: number, written: number | null): Steps<Progress> {
  const root = vm.m.peek(vm.memory.word(vm.tdr, TD.SEPT_ROOT));
  const end = yield* vcpu.walker.translate(
    root,
    gfn,
    written === null ? READ_ACCESS : READ_ACCESS | WRITE_ACCESS,
  );
  if (end !== TRANSLATED) return yield* emulate(vm, vcpu, gfn, written === null ? 0 : EXIT_WRITE);
  const page = vcpu.walker.page + vcpu.walker.offset;
  const word = vm.memory.word(page, 0);
  const value = written === null ? yield* vm.m.read(word) : yield* vm.m.xchg(word, written);
  for (const listener of vm.listeners) listener.accessed?.(vcpu.index, gfn, page, value, written);
  return DONE;
}

/** The hardware found no translation: the module walks, and injects #VE or leaves the TD. */
function* emulate(vm: Vm, vcpu: VmVcpu, gfn: number, flags: number): Steps<Progress> {
  const call = yield* vm.seamcall(guestAccess, {
    rcx: gfn * PAGE_BYTES,
    vcpu: vcpu.tdvpr,
    lp: vcpu.index,
  });
  if (call.exitReason >= 0) {
    return yield* exited(vm, vcpu, call, flags | (call.rdx === PENDING_TYPE ? EXIT_PENDING : 0));
  }
  if (!call.injectedVe) return AGAIN;
  const accepted = yield* accept(vm, vcpu, gfn, 0);
  return accepted === DONE ? AGAIN : accepted;
}

/** Handles an exit from the TD by an EPT violation, which `call` describes. */
function* exited(vm: Vm, vcpu: VmVcpu, { r8, rdx }: Call, flags: number): Steps<Progress> {
  yield* vcpu.kvm.leave();
  vcpu.exit.violation(Math.floor(r8 / PAGE_BYTES), flags, acceptLevelOf(rdx));
  return yield* handleExit(vm, vcpu);
}

const ACCEPT_TOLERATES = [
  S.OPERAND_BUSY,
  S.OPERAND_BUSY_HOST_PRIORITY,
  S.PAGE_ALREADY_ACCEPTED,
  S.PAGE_SIZE_MISMATCH,
];

/** Executes one ACCEPT; DONE when the page is accepted, by this vCPU or another. */
function* accept(vm: Vm, vcpu: VmVcpu, gfn: number, level: number): Steps<Progress> {
  const first = vm.tdx.geometry.align(gfn, level);
  const operands = { rcx: first * PAGE_BYTES + level, vcpu: vcpu.tdvpr, lp: vcpu.index };
  const call = yield* vm.seamcall(pageAccept, operands, ACCEPT_TOLERATES);
  if (call.exitReason >= 0) return yield* exited(vm, vcpu, call, EXIT_WRITE);
  if (call.interrupted) {
    yield* leaveTd(vm, vcpu);
    return AGAIN;
  }
  if (succeeded(call) || isStatus(call, S.PAGE_ALREADY_ACCEPTED)) return DONE;
  // the page has another size: the guest retries with the small one
  if (isStatus(call, S.PAGE_SIZE_MISMATCH) && level > 0) return yield* accept(vm, vcpu, gfn, 0);
  yield* vm.m.relax(vm.noEntry);
  return isStatus(call, S.OPERAND_BUSY_HOST_PRIORITY) ? REFUSED : AGAIN;
}
