/** The platform on which policies are checked: what its hardware may walk. */
import { expect, test } from 'vitest';
import { guestOperation, leaveTd } from '../../../impl/platform/guest.ts';
import { createVm } from '../../../impl/platform/platform.ts';
import { exclusive } from '../../../impl/policies/exclusive.ts';
import type { Vm, VmVcpu } from '../../../impl/vm/vm.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { READ_ACCESS } from '../../../spec/machine/tlb.ts';
import { TRANSLATED } from '../../../spec/machine/walker.ts';
import { OPERANDS_ZERO } from '../../../spec/tdx/call.ts';
import { NL_MAPPED, stateOf } from '../../../spec/tdx/entry.ts';
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

test('S05 is broken when the hardware walks a table that has left the Secure EPT', () => {
  const [vm, vcpu] = withTwoPages();
  expect(walk(vm, vcpu, 0)).toBe(TRANSLATED);
  vcpu.walker.tlb.flushNow({ leavesOnly: true });
  const { removeTable } = exclusive;
  atomically(removeTable.call(exclusive, vm, 0, 1));
  walk(vm, vcpu, 0);

  expect(vm.m.violation?.rule).toBe('S05');
});
