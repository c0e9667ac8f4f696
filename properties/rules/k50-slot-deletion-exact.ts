import { EMPTY, isLeafSpte, isPresent } from '../../spec/kvm/spte.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import type { VmRule } from './rule.ts';
import { mirrorLeaf } from './state/entries.ts';

export default {
  id: 'K50',
  level: 'required',
  statement:
    "Deleting a memslot of a TD zaps exactly the slot's leaves: none remains, no other goes.",
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_mmu_zap_memslot_leafs(); patch "Force TDX VMs to zap ' +
    'leafs"',
  intent:
    'A leaf that remains maps memory without a slot; one of another slot that goes takes the ' +
    "guest's data.",
  hint:
    'Check the range that the deletion zaps, and that a TD does not use the fast zap of all ' +
    'roots.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per actor: first GFN of the slot that it deletes, plus one, and number of its pages. */
    const first = new PerActor(vm.m);
    const pages = new PerActor(vm.m);
    const isOfSlot = (gfn: number): boolean =>
      gfn >= first.mine - 1 && gfn < first.mine - 1 + pages.mine;
    vm.listeners.push({
      slotRemovalBegan: (gfn, count) => {
        report.exercised();
        first.mine = gfn + 1;
        pages.mine = count;
      },
      slotRemoved: (gfn, count) => {
        first.mine = 0;
        for (let at = gfn; at < gfn + count; at++) {
          if (mirrorLeaf(vm, at) !== EMPTY)
            report.violated(`nothing maps GFN ${at} of the deleted slot`, 'the mirror does');
        }
      },
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (first.mine === 0 || !isLeafSpte(before) || isPresent(after)) return;
      const gfn = vm.mirror.gfnOf(table, index);
      if (isOfSlot(gfn)) return;
      report.violated(
        `GFN ${gfn}, of another slot, stays: the guest has accepted it`,
        'it is zapped with the slot',
      );
    });
  },
} satisfies VmRule;
