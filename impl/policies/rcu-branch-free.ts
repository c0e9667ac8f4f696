/**
 * rcu-branch-free: the policy that the question is about (P6; messages 11, 13 and 15 of the
 * thread). Never adopted.
 *
 * A branch is pruned from the mirror and its top entry blocked; once every vCPU is out of the old
 * epoch the branch is handed to an RCU callback. The callback, which then holds the only reference,
 * acts as if it held mmu_lock for write, and disposes of the children and of the table, expecting
 * every call to succeed.
 *
 * Why it fails, in any module version: a blocked table hides its children from the module itself,
 * so the callback can neither block nor remove them (EPT_WALK_FAILED), nor remove the table above
 * them (EPT_PAGE_NOT_FREE). And in any case the calls need the tree lock exclusively, while faults
 * elsewhere in the tree take it: OPERAND_BUSY, outside mmu_lock, where nobody can be told to wait.
 */
import { EMPTY, kindOfSpte, LEAF, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { SptePlace } from '../../spec/kvm/tables.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { pageRemove } from '../../spec/tdx/functions/page-remove.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { rangeUnblock } from '../../spec/tdx/functions/range-unblock.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { freeTable } from '../blocks/resize.ts';
import { kickAll, track, withoutVcpus } from '../blocks/seamcalls.ts';
import { returnPages } from '../blocks/zap.ts';
import { NO_DYNAMIC_PAMT, NO_LARGE_PAGES, type Breach, type Policy } from '../vm/policy.ts';
import { isStatus, mapping, type Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** How a callback calls the module. */
type CallModule = (vm: Vm, fn: InterfaceFunction, operands: Partial<Operands>) => Steps<void>;

/** As the question has it: nobody else can be in the way, so every call succeeds. */
const expectSuccess: CallModule = function* (vm, fn, operands) {
  yield* vm.seamcall(fn, operands);
};

/** The variant that retries while the module is busy. */
const retryWhileBusy: CallModule = function* (vm, fn, operands) {
  for (;;) {
    const call = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY]);
    if (!isStatus(call, S.OPERAND_BUSY)) return;
    yield* vm.m.relax(vm.noEntry);
  }
};

/** A branch that has been pruned: the mirror table, the first GFN under it. */
interface Branch {
  readonly table: PageRef;
  readonly gfn: number;
}

interface Variant {
  /** Under mmu_lock: what happens to the top entry in the Secure EPT before the callback is queued. */
  prune(vm: Vm, branch: Branch): Steps<void>;
  /** In the callback: the children and the table. */
  dispose(vm: Vm, branch: Branch): Steps<void>;
}

/** Blocks the top entry, and makes sure that no vCPU still walks through it. */
function* blockBranch(vm: Vm, { gfn }: Branch): Steps<void> {
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, 1));
  yield* track(vm);
}

/**
 * For each leaf of the branch, with the branch's top entry as the variant left it: block, (track),
 * remove.
 */
function* removeLeaves(
  vm: Vm,
  { table, gfn }: Branch,
  call: CallModule,
  tracked: boolean,
): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    if (kindOfSpte(yield* vm.mirror.read(table, i)) !== LEAF) continue;
    yield* call(vm, rangeBlock, mapping(vm, gfn + i, 0));
    if (tracked) yield* trackIn(vm, call);
    yield* call(vm, pageRemove, mapping(vm, gfn + i, 0));
  }
}

/** One epoch further, from a callback. */
function* trackIn(vm: Vm, call: CallModule): Steps<void> {
  yield* call(vm, memTrack, { rcx: vm.address(vm.tdr) });
  yield* kickAll(vm);
}

const asAsked: Variant = {
  prune: blockBranch,
  *dispose(vm, branch) {
    yield* removeLeaves(vm, branch, expectSuccess, false);
    yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, 1));
  },
};

const withRetry: Variant = {
  prune: blockBranch,
  *dispose(vm, branch) {
    yield* removeLeaves(vm, branch, retryWhileBusy, false);
    yield* retryWhileBusy(vm, septRemove, mapping(vm, branch.gfn, 1));
  },
};

/**
 * The table before its children: what "zap the parent, the children are unreachable anyway" comes
 * to.
 */
const tableFirst: Variant = {
  prune: blockBranch,
  *dispose(vm, branch) {
    yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, 1));
    yield* removeLeaves(vm, branch, expectSuccess, false);
  },
};

const unblockFirst: Variant = {
  prune: blockBranch,
  *dispose(vm, branch) {
    yield* expectSuccess(vm, rangeUnblock, mapping(vm, branch.gfn, 1));
    yield* bottomUp.dispose(vm, branch);
  },
};

const bottomUp: Variant = {
  *prune() {},
  *dispose(vm, branch) {
    yield* removeLeaves(vm, branch, expectSuccess, true);
    yield* expectSuccess(vm, rangeBlock, mapping(vm, branch.gfn, 1));
    yield* trackIn(vm, expectSuccess);
    yield* expectSuccess(vm, septRemove, mapping(vm, branch.gfn, 1));
  },
};

function policy(
  name: string,
  title: string,
  proposed: string,
  variant: Variant,
  breaks: readonly Breach[],
): Policy {
  return {
    ...frozenMirror,
    name,
    title,
    proposed,
    breaks,
    never: [...NO_LARGE_PAGES, ...NO_DYNAMIC_PAMT],
    *removeTable(vm, gfn) {
      const first = vm.tdx.geometry.align(gfn, 1);
      yield* vm.mmuLock.writeLock();
      yield* vm.invalidation.begin();
      const place = yield* vm.mirror.walk(first, 1);
      if (place.level === 1 && kindOfSpte(place.spte) === TABLE)
        yield* prune(vm, place, first, variant);
      yield* vm.invalidation.end();
      yield* vm.mmuLock.writeUnlock();
    },
  };
}

/** Prunes the branch at `place` and queues the callback that disposes of it. */
function* prune(vm: Vm, place: SptePlace, gfn: number, variant: Variant): Steps<void> {
  const branch = { table: pageOfSpte(place.spte), gfn };
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* variant.prune(vm, branch);
  yield* vm.rcu.call('rcu', function* () {
    yield* variant.dispose(vm, branch);
    yield* freeTable(vm, branch.table);
    yield* returnPages(vm, gfn, vm.mirror.span(1));
  });
}

const PROPOSED = 'Christopherson, 23-26 Jan 2023 (P6); never adopted';

/** What all of them do: the table leaves the Secure EPT after mmu_lock was released, if it does. */
const OUTSIDE_MMU_LOCK: Breach = {
  rule: 'K48',
  why: 'the callback removes the table without mmu_lock',
};

/**
 * The variants that keep the table visible: others are busy in the tree, and walk into what the
 * mirror forgot.
 */
const FAULTS_MEET_IT: readonly Breach[] = [
  {
    rule: 'S01',
    why: 'the tree lock is needed exclusively: OPERAND_BUSY while others fault; and faults meet a table',
  },
  OUTSIDE_MMU_LOCK,
];

export const rcuBranchFree = policy(
  'rcu-branch-free',
  'prune and block a branch, let an RCU callback dispose of it',
  PROPOSED,
  asAsked,
  [
    {
      rule: 'S01',
      why: 'the blocked table hides its children: EPT_WALK_FAILED below it, EPT_PAGE_NOT_FREE on it',
    },
    OUTSIDE_MMU_LOCK,
  ],
);

export const rcuBranchFreeRetry = policy(
  'rcu-branch-free-retry',
  'as rcu-branch-free, the callback retries while the module is busy',
  PROPOSED,
  withRetry,
  [
    { rule: 'S01', why: 'waiting out BUSY does not make the children visible: EPT_WALK_FAILED' },
    OUTSIDE_MMU_LOCK,
  ],
);

export const rcuBranchFreeTableFirst = policy(
  'rcu-branch-free-table-first',
  'as rcu-branch-free, the callback removes the table before its children',
  PROPOSED,
  tableFirst,
  [
    {
      rule: 'S01',
      why: 'a table with children cannot be removed, blocked or not: EPT_PAGE_NOT_FREE',
    },
    OUTSIDE_MMU_LOCK,
  ],
);

export const rcuBranchFreeUnblock = policy(
  'rcu-branch-free-unblock',
  'as rcu-branch-free, the callback unblocks the table first',
  `${PROPOSED} (variant P6b)`,
  unblockFirst,
  FAULTS_MEET_IT,
);

export const rcuBranchFreeBottomUp = policy(
  'rcu-branch-free-bottom-up',
  'the callback removes bottom-up, every ancestor mapped',
  `${PROPOSED} (variant P6a)`,
  bottomUp,
  FAULTS_MEET_IT,
);

export default rcuBranchFree;
