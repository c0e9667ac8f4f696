/** The platform on which policies are checked: what its hardware may walk. */
import { expect, test } from 'vitest';
import { createVcpu } from '../../../impl/blocks/build.ts';
import { guestOperation, leaveTd } from '../../../impl/platform/guest.ts';
import { createVm } from '../../../impl/platform/platform.ts';
import { dynamicPamt } from '../../../impl/policies/dynamic-pamt.ts';
import { exclusive } from '../../../impl/policies/exclusive.ts';
import type { Vm, VmVcpu } from '../../../impl/vm/vm.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { READ_ACCESS } from '../../../spec/machine/tlb.ts';
import { TRANSLATED } from '../../../spec/machine/walker.ts';
import { OPERANDS_ZERO } from '../../../spec/tdx/call.ts';
import { NL_MAPPED, stateOf } from '../../../spec/tdx/entry.ts';
import { TDVPR } from '../../../spec/tdx/pamt.ts';
import { on, OPERANDS, OPERAND_INVALID } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';

/** A TD whose first vCPU has accepted GFN 0 and 1, and has left. */
function withTwoPages(): readonly [Vm, VmVcpu] {
  const vm = createVm({ kind: 'td', policy: exclusive, module: '1.5.05', vcpus: 1 });
  const [vcpu] = vm.vcpus;
  if (vcpu === undefined) throw new Error('the VM has a vCPU');
  for (const gfn of [0, 1]) atomically(guestOperation(vm, vcpu, 'accept', gfn, 0));
  atomically(leaveTd(vm, vcpu));
  return [vm, vcpu];
}

const walk = (vm: Vm, { walker }: VmVcpu, gfn: number): number =>
  atomically(walker.translate(vm.m.peek(vm.memory.word(vm.tdr, TD.SEPT_ROOT)), gfn, READ_ACCESS));

test('the hardware may walk a table that DEMOTE has linked and that PAMT does not have yet', () => {
  const [vm, vcpu] = withTwoPages();
  atomically(exclusive.promote(vm, 0));
  const linked: number[] = [];
  vm.tdx.listeners.push({
    entryWritten: (_cell, _before, after, { name }) => {
      if (name === 'TDH.MEM.PAGE.DEMOTE' && stateOf(after) === NL_MAPPED) linked.push(after);
    },
  });
  for (const steps = exclusive.demote(vm, 0); linked.length === 0;)
    if (steps.next().done === true) break;

  expect(linked).toHaveLength(1);
  expect(walk(vm, vcpu, 1)).toBe(TRANSLATED);
  expect(vm.m.violation).toBeNull();
});

test('a TD on a module with dynamic PAMT is built with the feature off', () => {
  const vm = createVm({ kind: 'td', policy: exclusive, module: 'dynamic-pamt', vcpus: 1 });
  expect(vm.tdx.pamt.pairs).toBeNull();
  const call = atomically(vm.tdx.invoke({ name: 'TDH.PHYMEM.PAMT.ADD' }, OPERANDS_ZERO));
  expect(call.status).toBe(on(OPERAND_INVALID, OPERANDS.RAX));
});

/** The number of ranges whose PAMT pages the module has, and of those that KVM counts. */
function rangesOf({ memory, pamt, sizes, tdx }: Vm): readonly [module: number, kvm: number] {
  const ranges = Array.from({ length: memory.pages / sizes.largePage }, (_, i) => i);
  const firsts = ranges.map((range) => range * sizes.largePage);
  return [
    firsts.filter((page) => tdx.pamt.isNode(page, 1)).length,
    firsts.filter((page) => pamt.usesOf(page) > 0).length,
  ];
}

test('a policy turns dynamic PAMT on, and control pages are covered from their creation', () => {
  const vm = createVm({ kind: 'td', policy: dynamicPamt, module: 'dynamic-pamt', vcpus: 1 });
  const { tdr, pamt, vcpus, tdx } = vm;
  const control = [tdr, tdr + 1, ...vcpus.flatMap(({ tdvpr }) => [tdvpr, tdvpr + 1])];

  expect(control.map((page) => pamt.usesOf(page) > 0)).toEqual(control.map(() => true));
  expect(tdx.pamt.pairs).not.toBeNull();
  const [module, kvm] = rangesOf(vm);
  expect(module).toBeGreaterThan(control.length / 2);
  expect(kvm).toBe(module);
});

test('the end of a TD returns every PAMT page to the host', () => {
  const vm = createVm({ kind: 'td', policy: dynamicPamt, module: 'dynamic-pamt', vcpus: 1 });
  atomically(dynamicPamt.destroy(vm));

  expect(rangesOf(vm)).toEqual([0, 0]);
  expect(vm.pages.leaks()).toEqual([]);
});

test('a vCPU that is created later is covered as well', () => {
  const policy = { ...dynamicPamt, vms: ['new-td'] as const };
  const vm = createVm({ kind: 'new-td', policy, module: 'dynamic-pamt', vcpus: 2 });
  const [, second] = vm.vcpus;
  if (second === undefined) throw new Error('the VM has two vCPUs');
  expect(vm.pamt.usesOf(second.tdvpr)).toBe(0);
  atomically(createVcpu(vm, second));

  expect(vm.pamt.usesOf(second.tdvpr)).toBeGreaterThan(0);
  expect(vm.tdx.pamt.type(second.tdvpr, 0)).toBe(TDVPR);
});

test('S05 is broken when the hardware walks a table that has left the Secure EPT', () => {
  const [vm, vcpu] = withTwoPages();
  expect(walk(vm, vcpu, 0)).toBe(TRANSLATED);
  vcpu.walker.tlb.flushNow({ leavesOnly: true });
  const { removeTable } = exclusive;
  atomically(removeTable.call(exclusive, vm, 0, 1));
  walk(vm, vcpu, 0);

  expect(vm.m.violation?.rule).toBe('S05');
});
