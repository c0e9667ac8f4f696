/**
 * The list of vCPUs that are associated with a processor: a vCPU enters it when it is loaded, and
 * must leave it before its structure is freed. List operations are atomic: the processor runs them
 * with interrupts off. Source: Linux, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_load(), tdx_vcpu_free();
 * commit 1e3a825c9ec9 (bug B-59).
 */
import { VCPU_STRUCT } from '../../spec/kvm/tables.ts';
import { NO_PAGE, type PageRef } from '../../spec/machine/pages.ts';
import { RMW, type Steps, access } from '../../spec/machine/step.ts';
import type { Vm } from '../vm/vm.ts';

/** Words of a vCPU's structure: its neighbours on the list, plus one; 0 if none. */
const NEXT = 0;
const PREVIOUS = 1;

/**
 * KVM_CREATE_VCPU with an id that is in use: the vCPU is created and loaded before KVM checks the
 * id.
 */
export function* createVcpuTwice(vm: Vm): Steps<void> {
  const struct = yield* vm.pages.alloc(VCPU_STRUCT);
  if (struct === NO_PAGE) return;
  yield* listVcpu(vm, struct);
  yield* vm.policy.freeVcpu?.(vm, struct) ?? freeVcpu(vm, struct);
}

/** Removes a vCPU from its processor's list and frees its structure. */
export function* freeVcpu(vm: Vm, struct: PageRef): Steps<void> {
  yield* unlistVcpu(vm, struct);
  yield* freeStruct(vm, struct);
}

/** Frees a vCPU's structure. */
export function* freeStruct(vm: Vm, struct: PageRef): Steps<void> {
  yield* vm.pages.free(struct);
  const isListed = [...listed(vm)].includes(struct);
  for (const listener of vm.listeners) listener.vcpuFreed?.(isListed);
}

/** The vCPUs on the list, first to last, within the current step. */
function* listed(vm: Vm): Generator<PageRef> {
  for (
    let at = vm.m.peek(vm.td.vcpuList) - 1;
    at >= 0;
    at = vm.m.peek(vm.pages.word(at, NEXT)) - 1
  ) {
    yield at;
    if (!vm.pages.isLive(at)) return; // the link of a freed structure is meaningless
  }
}

/** Inserts a vCPU at the head of the list (list_add), which writes to the previous head. */
function* listVcpu(vm: Vm, struct: PageRef): Steps<void> {
  const { m, pages } = vm;
  const head = vm.td.vcpuList;
  yield access(head, RMW);
  const old = m.peek(head) - 1;
  if (old >= 0) {
    pages.touch(old);
    m.poke(pages.word(old, PREVIOUS), struct + 1);
  }
  m.poke(pages.word(struct, NEXT), old + 1);
  m.poke(pages.word(struct, PREVIOUS), 0);
  m.poke(head, struct + 1);
}

/** Removes a vCPU from the list (list_del). */
function* unlistVcpu(vm: Vm, struct: PageRef): Steps<void> {
  const { m, pages } = vm;
  yield access(vm.td.vcpuList, RMW);
  const next = m.peek(pages.word(struct, NEXT)) - 1;
  const previous = m.peek(pages.word(struct, PREVIOUS)) - 1;
  if (next >= 0) m.poke(pages.word(next, PREVIOUS), previous + 1);
  if (previous >= 0) m.poke(pages.word(previous, NEXT), next + 1);
  else m.poke(vm.td.vcpuList, next + 1);
}
