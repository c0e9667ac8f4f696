/**
 * Building a TD: vCPUs, memory with contents, and FINALIZE, after which the TD can run. Policies
 * differ in the locks of the ioctls, and in how a page gets into mirror and Secure EPT. Source:
 * Linux, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_init(), tdx_vcpu_init_mem_region(), tdx_td_finalize();
 * virt/kvm/guest_memfd.c: kvm_gmem_populate().
 */
import { SLOT_VALID, TD_INITIALIZED, TD_RUNNABLE } from '../../spec/kvm/td-vm.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { SpinLock } from '../../spec/machine/spinlock.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { mrExtend } from '../../spec/tdx/functions/mr-extend.ts';
import { mrFinalize } from '../../spec/tdx/functions/mr-finalize.ts';
import { pageAdd } from '../../spec/tdx/functions/page-add.ts';
import { vpAddcx } from '../../spec/tdx/functions/vp-addcx.ts';
import { vpCreate } from '../../spec/tdx/functions/vp-create.ts';
import { vpInit } from '../../spec/tdx/functions/vp-init.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { TDVPR_PAGES, vcpuIdOperands } from '../vm/build-td.ts';
import { mapping, succeeded, type Vm, type VmVcpu } from '../vm/vm.ts';
import {
  augLeaf,
  faultUnder,
  isWanted,
  mapPrivate,
  retryUntil,
  throughFrozen,
  type Install,
  type LeafChange,
} from './fault.ts';

/**
 * Address of the host page with the contents of an added page; the module checks its alignment
 * only.
 */
const SOURCE = 0x2000_0000;

/**
 * The locks that guard the TD's state, in their order: kvm->lock, each vcpu->mutex, slots_lock
 * (K63).
 */
export const allLocks = (vm: Vm): readonly SpinLock[] => [
  vm.td.kvmLock,
  ...vm.td.vcpuMutexes,
  vm.td.slotsLock,
];

/** Runs `body` with the locks held, taken in their order. */
export function* holding(locks: readonly SpinLock[], body: () => Steps<void>): Steps<void> {
  for (const lock of locks) yield* lock.lock();
  yield* body();
  for (const lock of locks.toReversed()) yield* lock.unlock();
}

/** Creates and initialises a vCPU, unless it exists or the TD is finalized. */
export function* createVcpu(
  vm: Vm,
  vcpu: VmVcpu,
  init: (vm: Vm, vcpu: VmVcpu) => Steps<void> = initVcpu,
): Steps<void> {
  if (
    vm.td.isDead() ||
    vm.td.isReady(vcpu.index) ||
    (yield* vm.m.read(vm.td.state)) !== TD_INITIALIZED
  )
    return;
  const { index: lp, tdvpr } = vcpu;
  yield* vm.pamt.getControl(tdvpr);
  yield* vm.seamcall(vpCreate, { rcx: vm.address(tdvpr), rdx: vm.address(vm.tdr), lp });
  for (let page = tdvpr + 1; page < tdvpr + TDVPR_PAGES; page++) {
    yield* vm.pamt.getControl(page);
    yield* vm.seamcall(vpAddcx, { rcx: vm.address(page), rdx: vm.address(tdvpr), lp });
  }
  yield* init(vm, vcpu);
  vm.td.setReady(lp);
}

/** VP.INIT in the newest version that the module has, as Linux calls it. */
function* initVcpu(vm: Vm, { index: lp, tdvpr }: VmVcpu): Steps<void> {
  yield* vm.seamcall(vpInit, { rcx: vm.address(tdvpr), lp, ...vcpuIdOperands(vm.tdx, lp) });
}

/**
 * VP.INIT with mmu_lock held for write. From version 1 on it takes the TDR exclusively, and a zap
 * that meets it would be refused twice, as no vCPU is the cause. mmu_lock held for read excludes
 * zaps, too; Linux takes it for write (commit 9a89894f30d5, 6.19).
 */
export function* initVcpuAlone(vm: Vm, vcpu: VmVcpu): Steps<void> {
  yield* vm.mmuLock.writeLock();
  yield* initVcpu(vm, vcpu);
  yield* vm.mmuLock.writeUnlock();
}

/** A leaf by PAGE.ADD: the page comes with contents. */
export const addLeaf: LeafChange = (vm, place, gfn, page) => ({
  ...augLeaf(vm, place, gfn, page),
  fn: pageAdd,
  operands: { ...mapping(vm, gfn, 0), r8: vm.address(page), r9: SOURCE },
});

/**
 * The leaf of a fault: by AUG once the TD can run. Before that the module only adds pages with
 * contents, and a fault has none.
 */
export const leafByState: LeafChange = (vm, place, gfn, page) =>
  vm.td.isRunnable()
    ? augLeaf(vm, place, gfn, page)
    : {
        ...addLeaf(vm, place, gfn, page),
        operands: { ...mapping(vm, gfn, 0), r8: vm.address(page) },
      };

/**
 * kvm_gmem_populate(): the file's invalidate lock keeps hole punching out. `install` makes the leaf
 * in the mirror, and in the Secure EPT unless `after` does.
 */
export function* populate(
  vm: Vm,
  gfn: number,
  install: Install,
  after: (vm: Vm, gfn: number) => Steps<void> = measure,
): Steps<void> {
  yield* vm.td.filemapLock.lock();
  yield* populateUnlocked(vm, gfn, install, after);
  yield* vm.td.filemapLock.unlock();
}

/** {@link populate} without the file's invalidate lock. */
export function* populateUnlocked(
  vm: Vm,
  gfn: number,
  install: Install,
  after: (vm: Vm, gfn: number) => Steps<void>,
): Steps<void> {
  const mayAdd =
    (yield* vm.m.read(vm.td.state)) === TD_INITIALIZED && !vm.td.isDead() && !vm.td.isShared(gfn);
  if (mayAdd && vm.m.peek(vm.slot) === SLOT_VALID && (yield* mapForPopulation(vm, gfn, install)))
    yield* after(vm, gfn);
}

function* mapForPopulation(vm: Vm, gfn: number, install: Install): Steps<boolean> {
  const page = yield* vm.guestMemory.fault(gfn);
  yield* vm.mmuLock.readLock();
  const mapped = yield* mapPrivate(vm, gfn, page, install, 0, addLeaf);
  yield* vm.mmuLock.readUnlock();
  return mapped;
}

/** MR.EXTEND: adds the page's contents to the TD's measurement. */
export function* measure(vm: Vm, gfn: number): Steps<void> {
  yield* vm.seamcall(mrExtend, { rcx: gfn * PAGE_BYTES, rdx: vm.address(vm.tdr) });
}

/** Adds the page inside the frozen window, like any other (P13n). */
export const addInPopulation = (vm: Vm, gfn: number): Steps<void> =>
  populate(vm, gfn, throughFrozen);

/**
 * MR.FINALIZE, unless it is done; then `publish`. While a hole is being punched it fails with
 * -EBUSY.
 */
export function* closeBuild(
  vm: Vm,
  publish: (vm: Vm) => Steps<void> = publishRunnable,
): Steps<void> {
  if (vm.td.isDead() || (yield* vm.m.read(vm.td.state)) !== TD_INITIALIZED) return;
  const call = yield* vm.seamcall(mrFinalize, { rcx: vm.address(vm.tdr) }, [OPERAND_BUSY]);
  if (succeeded(call)) yield* publish(vm);
}

/**
 * {@link closeBuild} with mmu_lock held for write, which keeps hole punching out. Otherwise its
 * calls meet a busy TDR, twice, or a TD that can run while KVM's state says that no vCPU needs
 * TRACK.
 */
export function* closeBuildAlone(
  vm: Vm,
  publish: (vm: Vm) => Steps<void> = publishRunnable,
): Steps<void> {
  yield* vm.mmuLock.writeLock();
  yield* closeBuild(vm, publish);
  yield* vm.mmuLock.writeUnlock();
}

/** Publishes the state first, then the permission that depends on it (K52: smp_wmb). */
export function* publishRunnable(vm: Vm): Steps<void> {
  yield* vm.m.write(vm.td.state, TD_RUNNABLE);
  yield* vm.m.write(vm.td.preFaultAllowed, 1);
}

/** KVM_PRE_FAULT_MEMORY: a fault on behalf of user space. */
export function* preFault(vm: Vm, vcpu: number, gfn: number): Steps<void> {
  if ((yield* vm.m.read(vm.td.preFaultAllowed)) === 0 || vm.td.isDead()) return;
  yield* vm.td.srcu.readLock();
  const leave = (v: Vm, index: number): boolean => isWanted(v, index, gfn);
  yield* retryUntil(
    vm,
    vcpu,
    () => faultUnder(vm, gfn, 'read', throughFrozen, { leaf: leafByState }),
    leave,
  );
  yield* vm.td.srcu.readUnlock();
}
