/**
 * frozen-mirror: upstream since Linux 6.16 (P4, P5, P7, P8).
 *
 * A fault maps with mmu_lock held for read: the mirror entry is FROZEN while the module makes the
 * same change; if the module is busy, the fault is retried without entering the TD. A zap holds
 * mmu_lock for write, and zaps leaves only, one by one; if the module is busy, every vCPU is kicked
 * and kept out, and the call repeated once. Tables stay until the VM is destroyed.
 *
 * Proposed by Sean Christopherson on 19 January 2023; merged in 6.14 and 6.16. Upstream has no
 * large pages, so there is nothing to promote or demote.
 */
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { demotePage } from '../blocks/resize.ts';
import { releaseTd } from '../blocks/teardown.ts';
import { removeSlotUnder, unmapUnder, zapAll, zapLeaves } from '../blocks/zap.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { NO_DYNAMIC_PAMT, NO_LARGE_PAGES, TABLES_STAY, type Policy } from '../vm/policy.ts';

export const frozenMirror: Policy = {
  name: 'frozen-mirror',
  group: 'linux',
  title: 'freeze the mirror entry around each call; zap leaves only, kicking vCPUs once on BUSY',
  proposed:
    'Christopherson, 19 Jan 2023; Linux 6.14 (frozen mirror), 6.16 (local retry, kick on BUSY)',
  vms: ['td'],
  breaks: [],
  direct: tdpMmu,
  never: [...TABLES_STAY, ...NO_LARGE_PAGES, ...NO_DYNAMIC_PAMT],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', throughFrozen));
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, () => zapLeaves(vm, gfn, pages, demotePage));
  },
  *removeTable(vm, gfn, level) {
    const first = vm.tdx.geometry.align(gfn, level);
    yield* this.unmap(vm, first, vm.mirror.span(level));
  },
  *promote() {},
  *demote() {},
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage));
  },
  *destroy(vm) {
    yield* zapAll(vm, demotePage);
    yield* releaseTd(vm);
  },
};

export default frozenMirror;
