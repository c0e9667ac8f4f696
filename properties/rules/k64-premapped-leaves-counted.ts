import type { Vm } from '../../impl/vm/vm.ts';
import { kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import type { VmRule } from './rule.ts';
import { hasSeptLeaf, mirrorLeaf } from './state/entries.ts';

export default {
  id: 'K64',
  level: 'required',
  statement:
    'While a TD is built, every mirror leaf has its page in the Secure EPT, except those that ' +
    'KVM counts; and no zap can reach those.',
  source: 'commits 6b5b71ffabf9, af96d5452e5e; Linux 6.16, arch/x86/kvm/vmx/tdx.c: nr_premapped',
  intent: 'A zap of a leaf that the module lacks fails at REMOVE, and FINALIZE would miss a page.',
  hint:
    'Check that PAGE.ADD is done inside the population of the mirror, or under ' +
    'filemap_invalidate_lock.',
  versions: ['*'],
  vms: ['new-td'],
  watch: (vm, report) => {
    const count = (): void => {
      if (vm.td.isRunnable()) return;
      const isPopulating =
        vm.m.peek(vm.td.slotsLock.cell) !== 0 || vm.m.peek(vm.td.filemapLock.cell) !== 0;
      if (isPopulating && !vm.td.slotsLock.holds(vm.m.current)) return;
      report.exercised();
      const counted = vm.m.peek(vm.td.nrPremapped);
      const premapped = mirrorOnly(vm);
      if (counted !== premapped)
        report.violated(`${premapped} leaves in the mirror alone`, `KVM counts ${counted}`);
    };
    vm.listeners.push({ operationEnded: count });
    vm.mmuLock.listeners.push({
      releasing: () => {
        if (vm.td.isRunnable() || !vm.td.slotsLock.holds(vm.m.current)) return;
        if (vm.td.filemapLock.holds(vm.m.current) || mirrorOnly(vm) === 0) return;
        report.violated(
          'zaps kept out until the module has the page',
          'neither mmu_lock nor filemap_invalidate_lock is held',
        );
      },
    });
    vm.tdx.listeners.push({
      began: ({ name }) => {
        if (name === 'TDH.MR.FINALIZE') count();
      },
    });
  },
} satisfies VmRule;

/** Number of GFNs that the mirror maps and the Secure EPT does not. */
function mirrorOnly(vm: Vm): number {
  let premapped = 0;
  for (let gfn = 0; gfn < vm.guestMemory.gfns; gfn++) {
    if (kindOfSpte(mirrorLeaf(vm, gfn)) === LEAF && !hasSeptLeaf(vm, gfn)) premapped++;
  }
  return premapped;
}
