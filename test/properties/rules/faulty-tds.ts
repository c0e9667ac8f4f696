/** Policies with one fault each, for rules about TDs that no known bug breaks in this way. */
import {
  faultUnder,
  hasRequests,
  isSlotGoing,
  MAPPED_NOW,
  mapPrivate,
  NO_SLOT,
  RETRY,
  retryLocally,
  retryUntil,
  throughFrozen,
  type Install,
} from '../../../impl/blocks/fault.ts';
import { demotePage } from '../../../impl/blocks/resize.ts';
import { kickAll, track } from '../../../impl/blocks/seamcalls.ts';
import { unmapUnder, zapLeaves } from '../../../impl/blocks/zap.ts';
import { frozenMirror, upstream619 } from '../../../impl/index.ts';
import sharedFlag from '../../../impl/mutants/b-73-shared-flag.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { isStatus, mapping, succeeded } from '../../../impl/vm/vm.ts';
import { EMPTY, FROZEN, kindOfSpte, LEAF } from '../../../spec/kvm/spte.ts';
import { pageRemove } from '../../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../../spec/tdx/functions/range-block.ts';
import { vpEnter } from '../../../spec/tdx/functions/vp-enter.ts';
import { OPERAND_BUSY, VMEXIT_EPT_VIOLATION } from '../../../spec/tdx/status.ts';

/** Leaves the entry FROZEN when the module is busy. */
const leavingFrozen: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return false;
  const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY]);
  if (succeeded(call)) yield* vm.mirror.write(place.table, place.index, to);
  return succeeded(call);
};

/** The rule, the fault, the members in which the policy differs from its base, the base. */
const ROWS: readonly (readonly [
  rule: string,
  fault: string,
  change: Partial<Policy>,
  base: Policy,
])[] = [
  [
    'K43',
    'reads the attributes before it samples the sequence number',
    {
      *fault(vm, vcpu, gfn) {
        return yield* retryLocally(vm, vcpu, function* () {
          if ((yield* vm.findSlot(gfn)) === 0) return NO_SLOT;
          const sampled = yield* vm.invalidation.sample();
          const page = yield* vm.guestMemory.fault(gfn);
          yield* vm.mmuLock.readLock();
          const stale = yield* vm.invalidation.isStale(sampled);
          const mapped = !stale && (yield* mapPrivate(vm, gfn, page, throughFrozen));
          yield* vm.mmuLock.readUnlock();
          return mapped ? MAPPED_NOW : RETRY;
        });
      },
    },
    frozenMirror,
  ],
  [
    'K47',
    'clears the mirror entry and leaves the Secure EPT as it is',
    {
      *unmap(vm, gfn) {
        yield* vm.mmuLock.writeLock();
        const place = yield* vm.mirror.walk(gfn, 0);
        if (kindOfSpte(place.spte) === LEAF)
          yield* vm.mirror.write(place.table, place.index, EMPTY);
        yield* vm.mmuLock.writeUnlock();
      },
    },
    frozenMirror,
  ],
  [
    'K52',
    'allows pre-faults while the TD is built, and adds pending pages',
    {
      *preFault(vm, vcpu, gfn) {
        if (!vm.td.isDead())
          yield* retryUntil(
            vm,
            vcpu,
            () => faultUnder(vm, gfn, 'read', throughFrozen),
            hasRequests,
          );
      },
    },
    upstream619,
  ],
  [
    'K53',
    'leaves the mirror entry FROZEN after BUSY',
    {
      *fault(vm, vcpu, gfn) {
        return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', leavingFrozen));
      },
    },
    frozenMirror,
  ],
  [
    'K54',
    'removes pages without TRACK',
    {
      *unmap(vm, gfn, pages) {
        yield* unmapUnder(vm, gfn, pages, () =>
          zapLeaves(vm, gfn, pages, demotePage, function* (_vm, place, at) {
            yield* vm.mirror.write(place.table, place.index, EMPTY);
            yield* vm.seamcall(rangeBlock, mapping(vm, at, 0), [OPERAND_BUSY]);
            yield* kickAll(vm);
            yield* vm.seamcall(pageRemove, mapping(vm, at, 0), [OPERAND_BUSY]);
          }),
        );
      },
    },
    frozenMirror,
  ],
  [
    'K54',
    'returns pages without writing back their cache lines',
    {
      *unmap(vm, gfn, pages) {
        yield* unmapUnder(vm, gfn, pages, () =>
          zapLeaves(vm, gfn, pages, demotePage, function* (_vm, place, at) {
            yield* vm.mirror.write(place.table, place.index, EMPTY);
            yield* vm.seamcall(rangeBlock, mapping(vm, at, 0), [OPERAND_BUSY]);
            yield* track(vm);
            yield* vm.seamcall(pageRemove, mapping(vm, at, 0), [OPERAND_BUSY]);
          }),
        );
      },
    },
    frozenMirror,
  ],
  ['K55', 'tracks with mmu_lock held for read', { unmap: sharedFlag.policy.unmap }, frozenMirror],
  [
    'K57',
    'enters the TD before it sets IN_GUEST_MODE',
    {
      *enter(vm, vcpu) {
        if ((yield* vm.m.read(vm.noEntry)) !== 0) return false;
        vcpu.exit.clear();
        const call = yield* vm.seamcall(vpEnter, { rcx: vm.address(vcpu.tdvpr), lp: vcpu.index }, [
          OPERAND_BUSY,
          VMEXIT_EPT_VIOLATION,
        ]);
        yield* vcpu.kvm.enter();
        if (succeeded(call)) return true;
        yield* vcpu.kvm.leave();
        return false;
      },
    },
    frozenMirror,
  ],
  [
    'K58',
    'retries a fault though an event is pending',
    {
      *fault(vm, vcpu, gfn) {
        const going = retryLocally(
          vm,
          vcpu,
          () => faultUnder(vm, gfn, 'read', throughFrozen),
          (v, _vcpu, at) => v.td.isDead() || isSlotGoing(v, at),
        );
        return yield* going;
      },
    },
    frozenMirror,
  ],
  [
    'K59',
    'handles BUSY at entry as an EPT violation',
    {
      *enter(vm, vcpu) {
        yield* vcpu.kvm.enter();
        const { gfn } = vcpu.exit;
        vcpu.exit.clear();
        const call = yield* vm.seamcall(vpEnter, { rcx: vm.address(vcpu.tdvpr), lp: vcpu.index }, [
          OPERAND_BUSY,
          VMEXIT_EPT_VIOLATION,
        ]);
        if (succeeded(call)) return true;
        yield* vcpu.kvm.leave();
        if (isStatus(call, OPERAND_BUSY)) vcpu.exit.violation(gfn, 0);
        return false;
      },
    },
    frozenMirror,
  ],
  [
    'K64',
    'ignores that a page could not be added',
    {
      *addMemory(vm, gfn) {
        yield* upstream619.addMemory?.(vm, gfn) ?? [];
        if (!vm.td.isRunnable()) yield* vm.m.write(vm.td.nrPremapped, 1);
      },
    },
    upstream619,
  ],
];

/** The rule, the fault, the policy. */
export const FAULTY_TDS: readonly (readonly [rule: string, fault: string, policy: Policy])[] =
  ROWS.map(([rule, fault, change, base]) => [
    rule,
    fault,
    { ...base, ...change, name: fault, title: fault },
  ]);
