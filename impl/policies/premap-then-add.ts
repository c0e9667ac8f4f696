/**
 * premap-then-add: the way in which Linux 6.16 to 6.18 build a TD (P13). INIT_MEM_REGION makes the
 * mirror leaf first, under mmu_lock, and counts it (nr_premapped); PAGE.ADD follows without
 * mmu_lock. A zap of a leaf that is still counted expects EPT_ENTRY_STATE_INCORRECT, and FINALIZE
 * requires the count to be 0. Each ioctl holds only locks of its own.
 *
 * The count stays exact (K64). What it breaks: INIT_VCPU shares no lock with the other ioctls,
 * whose calls take the TDR exclusively, so that a call gets BUSY, which its caller does not handle
 * (K63, S01; bug B-57, fixed in 6.19). And by design a mirror leaf is present before the Secure EPT
 * has its page (K44, S02).
 */
import { EMPTY, kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { pageAdd } from '../../spec/tdx/functions/page-add.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { addLeaf, closeBuild, createVcpu, holding, measure, populate } from '../blocks/build.ts';
import { throughFrozen, type Install } from '../blocks/fault.ts';
import { demotePage } from '../blocks/resize.ts';
import { OTHER_STATE, withoutVcpus } from '../blocks/seamcalls.ts';
import { releaseTd } from '../blocks/teardown.ts';
import {
  removeBlocked,
  removeSlotUnder,
  unmapUnder,
  zapAll,
  zapLeaf,
  zapLeaves,
} from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, mapping, succeeded, type Vm } from '../vm/vm.ts';
import { upstream619 } from './upstream-6.19.ts';

/** Installs a leaf in the mirror only, and counts it; a table goes through the frozen window. */
export const premap: Install = function* (vm, change) {
  const { place, to } = change;
  if (kindOfSpte(to) !== LEAF) return yield* throughFrozen(vm, change);
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, to))) return false;
  yield* vm.m.add(vm.td.nrPremapped, 1);
  return true;
};

/** PAGE.ADD of a premapped page; the page stays counted if it fails. */
export function* addPremapped(vm: Vm, gfn: number): Steps<void> {
  const place = yield* vm.mirror.walk(gfn, 0);
  const { operands } = addLeaf(vm, place, gfn, vm.guestMemory.pageOf(gfn));
  const call = yield* vm.seamcall(pageAdd, operands, OTHER_STATE);
  if (!succeeded(call)) return;
  yield* vm.m.add(vm.td.nrPremapped, -1);
  yield* measure(vm, gfn);
}

/** Zaps a leaf; uncounts it if the Secure EPT does not have it. */
function* zapPremapped(vm: Vm, place: SptePlace, gfn: number): Steps<void> {
  if (vm.td.isRunnable()) return yield* zapLeaf(vm, place, gfn);
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  const call = yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, place.level), OTHER_STATE);
  if (OTHER_STATE.some((status) => isStatus(call, status))) yield* vm.m.add(vm.td.nrPremapped, -1);
  else yield* removeBlocked(vm, place, gfn);
}

/** Entry points that zap, with `zap` for each leaf. */
export const zappingEverything = (
  zap: typeof zapPremapped,
): Pick<Policy, 'unmap' | 'removeSlot' | 'destroy'> => ({
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () => zapLeaves(vm, gfn, pages, demotePage, zap));
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage, zap));
  },
  *destroy(vm) {
    yield* zapAll(vm, demotePage, zap);
    yield* releaseTd(vm);
  },
});

export const premapThenAdd: Policy = {
  ...upstream619,
  name: 'premap-then-add',
  group: 'superseded',
  title: 'make mirror leaves first and add their pages later, each ioctl with its own locks (P13)',
  proposed: 'Linux 6.16 to 6.18, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_init_mem_region(), nr_premapped',
  vms: ['new-td'],
  breaks: [
    {
      rule: 'K63',
      why: 'INIT_VCPU shares no lock with the ioctls whose calls take the TDR exclusively (B-57)',
    },
    {
      rule: 'S01',
      why: 'a call that meets such an ioctl gets BUSY, which its caller does not handle',
    },
    {
      rule: 'K44',
      why: 'a mirror leaf is present before PAGE.ADD has put its page into the Secure EPT',
    },
    { rule: 'S02', why: 'a PAGE.ADD that fails leaves the mirror leaf behind' },
  ],
  ...zappingEverything(zapPremapped),
  *initVcpu(vm, vcpu) {
    const mutex = vm.td.vcpuMutexes.filter((_, i) => i === vcpu.index);
    yield* holding(mutex, () => createVcpu(vm, vcpu));
  },
  *addMemory(vm, gfn) {
    yield* holding([vm.td.slotsLock], () => populate(vm, gfn, premap, addPremapped));
  },
  *finalize(vm) {
    yield* holding([vm.td.kvmLock, vm.td.slotsLock], function* () {
      if (vm.m.peek(vm.td.nrPremapped) === 0) yield* closeBuild(vm);
    });
  },
};

export default premapThenAdd;
