/** What rules look at without a step: the mirror, the Secure EPT. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { EMPTY, kindOfSpte, LEAF, pageOfSpte, TABLE, type Spte } from '../../../spec/kvm/spte.ts';
import type { Machine } from '../../../spec/machine/machine.ts';
import { isLeaf, isTable, pageOf, type Entry } from '../../../spec/tdx/entry.ts';
import { TD, VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';

/** Numbers that are 0 again in each run. */
export function resetting(m: Machine, length: number): Int32Array {
  const numbers = new Int32Array(length);
  m.onReset(() => numbers.fill(0));
  return numbers;
}

/** The mirror's entry where a walk for `gfn` ends, if that is a leaf; else EMPTY. */
export function mirrorLeaf(vm: Vm, gfn: number): Spte {
  let table = vm.mirror.root;
  for (let level = vm.mirror.rootLevel; level >= 0; level--) {
    const spte = vm.m.peek(vm.pages.word(table, vm.mirror.index(gfn, level)));
    if (kindOfSpte(spte) === LEAF) return spte;
    if (kindOfSpte(spte) !== TABLE) return EMPTY;
    table = pageOfSpte(spte);
  }
  return EMPTY;
}

/** The Secure EPT maps `gfn`, whether the guest can use the page or not. */
export function hasSeptLeaf(vm: Vm, gfn: number): boolean {
  let table = vm.m.peek(vm.memory.word(vm.tdr, TD.SEPT_ROOT));
  for (let level = vm.mirror.rootLevel; level >= 0; level--) {
    const entry: Entry = vm.m.peek(vm.memory.word(table, vm.mirror.index(gfn, level)));
    if (isLeaf(entry)) return true;
    if (!isTable(entry)) return false;
    table = pageOf(entry);
  }
  return false;
}

/** A vCPU that is inside the TD, or undefined. */
export const insideTd = (vm: Vm): Vm['vcpus'][number] | undefined =>
  vm.vcpus.find(({ tdvpr }) => vm.m.peek(vm.memory.word(tdvpr, VP.STATE)) === VCPU_ACTIVE);
