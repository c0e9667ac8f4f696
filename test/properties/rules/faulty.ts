/** For every S rule a policy that breaks it: a shipped policy with one fault. */
import {
  MAPPED_NOW,
  mapPrivate,
  retryLocally,
  RETRY,
  throughFrozen,
} from '../../../impl/blocks/fault.ts';
import { kickAll } from '../../../impl/blocks/seamcalls.ts';
import { releaseTd } from '../../../impl/blocks/teardown.ts';
import { returnPages } from '../../../impl/blocks/zap.ts';
import { exclusive, frozenMirror, mirrorNaive } from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { mapping } from '../../../impl/vm/vm.ts';
import { EMPTY, kindOfSpte, LEAF } from '../../../spec/kvm/spte.ts';
import { memTrack } from '../../../spec/tdx/functions/mem-track.ts';
import { pageRemove } from '../../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../../spec/tdx/functions/range-block.ts';
import { OPERAND_BUSY } from '../../../spec/tdx/status.ts';

/** The rule, the fault, the policy. */
export const FAULTY: readonly (readonly [rule: string, fault: string, policy: Policy])[] = [
  ['S01', 'makes the mirror entry present before it calls the module', mirrorNaive],

  [
    'S02',
    'clears the mirror entry and leaves the Secure EPT as it is',
    {
      ...frozenMirror,
      name: 'forgets-the-sept',
      *unmap(vm, gfn) {
        const place = yield* vm.mirror.walk(gfn, 0);
        if (kindOfSpte(place.spte) === LEAF)
          yield* vm.mirror.write(place.table, place.index, EMPTY);
      },
    },
  ],

  [
    'S03',
    'destroys the VM without reclaiming its pages from the module',
    {
      ...frozenMirror,
      name: 'leaves-the-td',
      *destroy(vm) {
        yield* this.removeSlot(vm);
      },
    },
  ],

  [
    'S04',
    'walks the mirror without mmu_lock while tables are freed',
    {
      ...exclusive,
      name: 'walks-unlocked',
      *fault(vm, vcpu, gfn) {
        return yield* retryLocally(vm, vcpu, function* () {
          const page = yield* vm.guestMemory.fault(gfn);
          return (yield* mapPrivate(vm, gfn, page, throughFrozen)) ? MAPPED_NOW : RETRY;
        });
      },
    },
  ],

  [
    'S05',
    'returns pages while vCPUs have translations to them',
    {
      ...frozenMirror,
      name: 'returns-first',
      *unmap(vm, gfn, pages) {
        yield* returnPages(vm, gfn, pages);
        yield* frozenMirror.unmap(vm, gfn, pages);
      },
    },
  ],

  [
    'S06',
    'zaps the neighbour of a page as well',
    {
      ...frozenMirror,
      name: 'zaps-too-much',
      *unmap(vm, gfn) {
        yield* frozenMirror.unmap(vm, vm.tdx.geometry.align(gfn, 1), vm.mirror.span(1));
      },
    },
  ],

  [
    'S07',
    'returns with mmu_lock held',
    {
      ...frozenMirror,
      name: 'keeps-the-lock',
      *promote(vm) {
        yield* vm.mmuLock.writeLock();
      },
    },
  ],

  [
    'S08',
    'resumes the guest without having mapped anything',
    {
      ...frozenMirror,
      name: 'never-maps',
      *fault(vm) {
        yield* vm.mmuLock.readLock();
        yield* vm.mmuLock.readUnlock();
        return true;
      },
    },
  ],

  [
    'S09',
    'ignores BUSY',
    {
      ...frozenMirror,
      name: 'ignores-busy',
      *unmap(vm, gfn) {
        yield* vm.mmuLock.writeLock();
        const place = yield* vm.mirror.walk(gfn, 0);
        if (kindOfSpte(place.spte) === LEAF) {
          yield* vm.mirror.write(place.table, place.index, EMPTY);
          yield* vm.seamcall(rangeBlock, mapping(vm, gfn, 0), [OPERAND_BUSY]);
          yield* vm.seamcall(memTrack, { rcx: vm.address(vm.tdr) }, [OPERAND_BUSY]);
          yield* kickAll(vm);
          yield* vm.seamcall(pageRemove, mapping(vm, gfn, 0), [OPERAND_BUSY]);
        }
        yield* vm.mmuLock.writeUnlock();
      },
    },
  ],

  [
    'S10',
    'uses pages that the module still owns',
    {
      ...frozenMirror,
      name: 'uses-too-early',
      *unmap(vm, gfn, pages) {
        yield* returnPages(vm, gfn, pages);
        yield* frozenMirror.unmap(vm, gfn, pages);
      },
    },
  ],

  [
    'S11',
    'does nothing when the host asks pages back',
    {
      ...frozenMirror,
      name: 'does-nothing',
      *unmap() {},
    },
  ],
];

/** A policy whose faults ignore the invalidation sequence (K37). */
export const STALE_FAULTS: Policy = {
  ...frozenMirror,
  name: 'stale-faults',
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, function* () {
      const page = yield* vm.guestMemory.fault(gfn);
      yield* vm.mmuLock.readLock();
      const mapped = yield* mapPrivate(vm, gfn, page, throughFrozen);
      yield* vm.mmuLock.readUnlock();
      return mapped ? MAPPED_NOW : RETRY;
    });
  },
};

/** A policy that tears the TD down before it has removed the leaves. */
export const TEARS_DOWN_FIRST: Policy = {
  ...frozenMirror,
  name: 'tears-down-first',
  *destroy(vm) {
    yield* releaseTd(vm);
  },
};
