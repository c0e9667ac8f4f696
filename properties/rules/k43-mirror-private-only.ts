import { EMPTY, isLeafSpte } from '../../spec/kvm/spte.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf } from './state/entries.ts';

export default {
  id: 'K43',
  level: 'required',
  statement:
    'The mirror maps private GFNs only; converting a GFN to shared zaps its leaf within the ' +
    'invalidation of the conversion.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_arch_pre_set_memory_attributes(), tdp_mmu.h: ' +
    'tdp_mmu_get_root_for_fault()',
  intent: 'A GFN that both roots map has two pages: guest and host disagree about its contents.',
  hint:
    'Check that a conversion zaps the other side before it changes the attribute, and that a ' +
    'fault samples the sequence number before it reads the attribute.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isLeafSpte(after) || isLeafSpte(before)) return;
      report.exercised();
      const first = vm.mirror.gfnOf(table, index);
      for (let gfn = first; gfn < first + vm.mirror.span(vm.mirror.levelOf(table)); gfn++) {
        if (vm.td.isShared(gfn))
          report.violated(`GFN ${gfn} not in the mirror: it is shared`, 'a fault maps it there');
      }
    });
  },
  atRest: (vm, report) => {
    for (let gfn = 0; gfn < vm.guestMemory.gfns; gfn++) {
      if (!vm.td.isShared(gfn) || mirrorLeaf(vm, gfn) === EMPTY) continue;
      report.violated(`GFN ${gfn} not in the mirror: it is shared`, 'its leaf is still there');
    }
  },
} satisfies VmRule;
