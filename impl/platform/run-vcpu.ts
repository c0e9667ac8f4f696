/**
 * A vCPU thread of an ordinary VM: it serves requests, enters the guest, executes the guest's
 * operations one after the other, and passes the faults that the hardware takes to the policy.
 */
import {
  CONTEXTS,
  FAULT_ANSWERS,
  REQ_FREE_OBSOLETE_ROOTS,
  REQ_TLB_FLUSH,
  RET_EMULATE,
  RET_EXIT,
  type Context,
  type FaultAnswer,
  type Kvm,
  type KvmVcpu,
} from '../../spec/kvm/kvm.ts';
import { SPECIAL_ROOT } from '../../spec/kvm/roots.ts';
import { NO_PAGE, type PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import {
  EXECUTE_ACCESS,
  READ_ACCESS,
  WRITE_ACCESS,
  type Permissions,
} from '../../spec/machine/tlb.ts';
import { OUTSIDE_GUEST } from '../../spec/machine/vcpu.ts';
import { TRANSLATED, type Walker } from '../../spec/machine/walker.ts';
import { newFault } from '../tdp-mmu/fault.ts';
import type { TdpMmu } from '../tdp-mmu/tdp-mmu.ts';

/** Kinds of a guest's access. */
type GuestAccess = 'read' | 'write' | 'exec';

const WANTED: Readonly<Record<GuestAccess, Permissions>> = {
  read: READ_ACCESS,
  write: READ_ACCESS | WRITE_ACCESS,
  exec: READ_ACCESS | EXECUTE_ACCESS,
};

/** The vCPU is in the guest. */
const isRunning = ({ vcpu }: KvmVcpu): boolean => vcpu.mode() !== OUTSIDE_GUEST;

/** Executes one access of the guest in a context; a write writes `value`. */
export function* guestAccess(
  kvm: Kvm,
  mmu: TdpMmu,
  vcpu: KvmVcpu,
  context: Context,
  gfn: number,
  access: GuestAccess,
  value: number,
): Steps<void> {
  const asId = CONTEXTS[context]?.asId ?? 0;
  const walker = vcpu.walkers[context] as Walker; // one for each
  for (;;) {
    const root = yield* enterGuest(kvm, mmu, vcpu, context);
    if ((yield* walker.translate(root, gfn, WANTED[access])) === TRANSLATED) {
      return yield* useMemory(kvm, vcpu, walker, asId, gfn, access === 'write' ? value : null);
    }
    yield* vcpu.vcpu.leave();
    const result = yield* handleFault(kvm, mmu, vcpu, root, asId, gfn, access);
    if (result === RET_EMULATE || result === RET_EXIT) return;
    yield* kvm.m.relax(vcpu.vcpu.cell);
  }
}

/** Reads or writes the page to which the access was translated. */
function* useMemory(
  kvm: Kvm,
  vcpu: KvmVcpu,
  walker: Walker,
  asId: number,
  gfn: number,
  written: number | null,
): Steps<void> {
  const page = walker.page + walker.offset;
  const word = kvm.memory.word(page, 0);
  const value = written === null ? yield* kvm.m.read(word) : yield* kvm.m.xchg(word, written);
  for (const listener of kvm.listeners)
    listener.accessed?.(vcpu.index, asId, gfn, page, value, written);
}

/** The guest computes without accessing memory. */
export function* guestIdle(kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu): Steps<void> {
  for (let i = 0; i < IDLE_INSTRUCTIONS; i++) {
    yield* enterGuest(kvm, mmu, vcpu, 0);
    yield* kvm.m.relax(vcpu.vcpu.cell);
  }
}

const IDLE_INSTRUCTIONS = 8;

/** Enters the guest, unless the vCPU is there and nothing is requested of it; returns its root. */
function* enterGuest(kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu, context: Context): Steps<PageRef> {
  if (isRunning(vcpu)) {
    const root = kvm.m.peek(vcpu.roots + context) - 1;
    if (!(yield* vcpu.vcpu.notices()) && root !== NO_PAGE) return root;
    yield* vcpu.vcpu.leave();
  }
  for (;;) {
    yield* serveRequests(kvm, mmu, vcpu);
    const root = yield* kvm.rootOf(vcpu, context);
    const loaded = root !== NO_PAGE || (yield* mmu.loadMmu(kvm, vcpu, context));
    yield* vcpu.vcpu.enter();
    const mayRun = loaded && (yield* vcpu.vcpu.checkRequests()) === 0;
    if (mayRun) {
      const now = kvm.m.peek(vcpu.roots + context) - 1;
      for (const listener of kvm.listeners) listener.entered?.(vcpu.index, now);
      return now;
    }
    yield* vcpu.vcpu.leave();
    yield* kvm.m.relax(vcpu.vcpu.cell);
  }
}

/** Serves the vCPU's requests before it enters the guest. */
function* serveRequests(kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu): Steps<void> {
  const wanted = yield* vcpu.vcpu.takeRequests(REQ_TLB_FLUSH | REQ_FREE_OBSOLETE_ROOTS);
  if ((wanted & REQ_FREE_OBSOLETE_ROOTS) !== 0) yield* mmu.freeObsoleteRoots(kvm, vcpu);
  if ((wanted & REQ_TLB_FLUSH) === 0) return;
  const [first, end] = [kvm.m.peek(vcpu.flush), kvm.m.peek(vcpu.flush + 1)];
  kvm.m.poke(vcpu.flush, 0);
  kvm.m.poke(vcpu.flush + 1, 0);
  yield* vcpu.tlb.flushRange(first, end - first);
}

/** Passes a fault to the policy. @throws TypeError unless that returns a RET_ value */
function* handleFault(
  kvm: Kvm,
  mmu: TdpMmu,
  vcpu: KvmVcpu,
  root: PageRef,
  asId: 0 | 1,
  gfn: number,
  access: GuestAccess,
): Steps<FaultAnswer> {
  const fault = newFault(root, asId, gfn, { write: access === 'write', exec: access === 'exec' });
  for (const listener of kvm.listeners) listener.faultBegan?.(vcpu.index, fault);
  yield* kvm.srcu.readLock();
  const result: unknown = yield* mmu.pageFault(kvm, vcpu, fault);
  yield* kvm.srcu.readUnlock();
  if (!isResult(result))
    throw new TypeError(`pageFault returned ${String(result)}, which is not a RET_ value`);
  for (const listener of kvm.listeners) listener.faultEnded?.(vcpu.index, fault, result);
  return result;
}

const isResult = (value: unknown): value is FaultAnswer =>
  typeof value === 'number' && FAULT_ANSWERS[value] !== undefined;

/** A fault of a vCPU whose guest has no paging yet: its root has no page. */
export function* legacyFault(kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu, gfn: number): Steps<void> {
  if (isRunning(vcpu)) yield* vcpu.vcpu.leave();
  yield* handleFault(kvm, mmu, vcpu, SPECIAL_ROOT, 0, gfn, 'read');
}

/** KVM_PRE_FAULT_MEMORY, an ioctl of the vCPU, which is therefore outside the guest. */
export function* prefault(
  kvm: Kvm,
  mmu: TdpMmu,
  vcpu: KvmVcpu,
  gfn: number,
  pages: number,
): Steps<void> {
  if (isRunning(vcpu)) yield* vcpu.vcpu.leave();
  yield* serveRequests(kvm, mmu, vcpu);
  if ((yield* kvm.rootOf(vcpu, 0)) === NO_PAGE && !(yield* mmu.loadMmu(kvm, vcpu, 0))) return;
  yield* mmu.prefault(kvm, vcpu, gfn, pages);
  yield* kvm.m.write(vcpu.signal, 0);
}

/** A nested guest's access, which the shadow MMU serves. */
export function* shadowFault(kvm: Kvm, mmu: TdpMmu, vcpu: KvmVcpu, gfn: number): Steps<void> {
  if (isRunning(vcpu)) yield* vcpu.vcpu.leave();
  yield* kvm.srcu.readLock();
  yield* mmu.shadowFault(kvm, vcpu, gfn);
  yield* kvm.srcu.readUnlock();
}
