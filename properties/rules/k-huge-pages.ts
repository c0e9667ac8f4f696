/**
 * K65 to K67: large pages, of which a TD has its own troubles: they are split and merged by calls
 * that can fail.
 */
import type { Vm } from '../../impl/vm/vm.ts';
import { describeSpte, isPresent, kindOfSpte, LEAF, type Spte } from '../../spec/kvm/spte.ts';
import { entryAt } from '../../spec/machine/levels.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { ALL_BLOCKED, among, describeEntry, isLeaf, isPending } from '../../spec/tdx/entry.ts';
import {
  classOf,
  describeStatus,
  GPA_RANGE_NOT_BLOCKED,
  INTERRUPTED_RESTARTABLE,
  SUCCESS,
  TLB_TRACKING_NOT_DONE,
} from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import {
  isLinked,
  keyOfCall,
  keyOfPlace,
  nameOfKey,
  septAt,
  spteAt,
  UNREACHED,
  type Key,
} from './state/entries.ts';
import { Debts, heldAs, holdsForWrite } from './state/pending.ts';

const BLOCK = 'TDH.MEM.RANGE.BLOCK';
/** Calls after which an entry that was blocked no longer is. */
const UNBLOCKS: ReadonlySet<string> = new Set([
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.PROMOTE',
]);

const isLarge = (key: Key): boolean => key % 8 > 0;

/**
 * Asks of whoever blocks a large entry to settle it before it releases mmu_lock, while the mirror
 * still maps it.
 */
function watchBlocked(
  vm: Vm,
  of: 'leaf' | 'table',
  left: (entry: string, seen: string) => void,
): void {
  const debts = new Debts(vm);
  vm.tdx.listeners.push({
    ended: (call, status) => {
      if (status !== SUCCESS) return;
      const key = keyOfCall(call);
      if (call.name === BLOCK && isLarge(key)) debts.owe(key);
      else if (UNBLOCKS.has(call.name)) debts.settle(key);
    },
  });
  debts.dueAtRelease((name, key) => {
    const [gfn, level] = [Math.floor(key / 8), key % 8];
    const entry = septAt(vm, gfn, level);
    const spte = spteAt(vm, gfn, level);
    if (entry === UNREACHED || spte === UNREACHED || !isPresent(spte)) return;
    if (among(ALL_BLOCKED, entry) && isLeaf(entry) === (of === 'leaf'))
      left(name, describeEntry(entry));
  });
}

const DEMOTE = 'TDH.MEM.PAGE.DEMOTE';
const PROMOTE = 'TDH.MEM.PAGE.PROMOTE';
const NOT_PREPARED: ReadonlySet<number> = new Set([GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE]);

const K65: VmRule = {
  id: 'K65',
  level: 'required',
  statement:
    'A large page is split with mmu_lock held for write: blocked, tracked with a kick, demoted; ' +
    'and it does not stay blocked when the split fails.',
  source:
    'KVM rules K65; huge page series v3 (Jan 2026), cover, restriction 1; module notes §3 (PAGE.DEMOTE)',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name !== DEMOTE) return;
        report.exercised();
        if (holdsForWrite(vm)) return;
        report.violated(
          `mmu_lock held for write where ${nameOfKey(keyOfCall(call))} is split`,
          heldAs(vm),
        );
      },
      ended: (call, status) => {
        if (call.name !== DEMOTE || !NOT_PREPARED.has(classOf(status))) return;
        report.violated(
          `${nameOfKey(keyOfCall(call))} blocked, and every vCPU out since, when it is split`,
          describeStatus(status),
        );
      },
    });
    watchBlocked(vm, 'leaf', (entry, seen) =>
      report.violated(
        `page ${entry}, which the mirror maps, unblocked before mmu_lock is released`,
        seen,
      ),
    );
  },
};

/** Interruptions in a row that a holder of mmu_lock may sit out: as often as P3 repeated a call. */
const PATIENCE = 16;

const K66: VmRule = {
  id: 'K66',
  level: 'stochastic',
  statement:
    'A resize that was interrupted has changed nothing: it is started again, or what was blocked is unblocked, ' +
    'before mmu_lock is released, and not for ever with mmu_lock held.',
  source:
    'KVM rules K66; huge page series v3 (ENHANCED_DEMOTE_INTERRUPTIBILITY); module notes §3 (PROMOTE, DEMOTE)',
  versions: ['*'],
  watch: (vm, report) => {
    const debts = new Debts(vm);
    /** Interruptions since mmu_lock was released last, by whomever. */
    let inARow = 0;
    vm.m.onReset(() => {
      inARow = 0;
    });
    vm.tdx.listeners.push({
      ended: (call, status) => {
        if (classOf(status) === INTERRUPTED_RESTARTABLE && isResize(call)) {
          report.exercised();
          debts.owe(keyOfCall(call));
          if (++inARow <= PATIENCE) return;
          report.violated(
            `others get mmu_lock after ${PATIENCE} interruptions of ${call.name}`,
            `${inARow} in a row`,
          );
        } else if (status === SUCCESS && UNBLOCKS.has(call.name)) {
          debts.settle(keyOfCall(call));
        }
      },
    });
    vm.mmuLock.listeners.push({
      releasing: () => {
        inARow = 0;
      },
    });
    debts.dueAtRelease((entry) =>
      report.violated(
        `the resize of ${entry} started again, or undone, before mmu_lock is released`,
        'it was given up half way',
      ),
    );
  },
};

const isResize = ({ name }: Call): boolean => name === DEMOTE || name === PROMOTE;

const K67: VmRule = {
  id: 'K67',
  level: 'required',
  statement:
    'A large mapping is no larger than the folio behind it, than what is taken away, or than what the guest ' +
    'accepts; and a table that could not be merged is unblocked.',
  source:
    'KVM rules K67; huge page series v3 (Jan 2026), cover, section 5; guest_memfd: zap before the folio is split',
  versions: ['*'],
  watch: (vm, report) => {
    const { folios } = vm.guestMemory;
    /** Per actor: the range that its operation takes away, as first GFN and count. */
    const taking = new Map<number, readonly [number, number]>();
    /**
     * Per vCPU: how often in a row it was sent back to an ACCEPT that is smaller than what is
     * mapped.
     */
    const sentBack = new Int32Array(vm.vcpus.length);
    vm.m.clearOnReset(taking);
    vm.m.onReset(() => sentBack.fill(0));

    vm.mirror.listeners.push((table, index, before, after) => {
      if (vm.mirror.levelOf(table) === 0 || !isLinked(vm, table)) return;
      const key = keyOfPlace(vm, table, index);
      const gfn = Math.floor(key / 8);
      if (isLargeLeaf(after)) {
        report.exercised();
        if (!folios.isLarge(gfn))
          report.violated(
            `one folio behind ${nameOfKey(key)}, which is mapped large`,
            'it is split',
          );
      } else if (isLargeLeaf(before) && !isPresent(after)) {
        const range = taking.get(vm.m.current);
        if (range === undefined || (range[0] <= gfn && gfn + folios.span <= range[0] + range[1]))
          return;
        report.violated(
          `${describeSpte(before)} at ${nameOfKey(key)} split before a part of it is taken`,
          `${range[1]} pages from ${range[0]} on are asked for, all of it goes`,
        );
      }
    });
    folios.listeners.push((gfn) => {
      report.exercised();
      const spte = spteAt(vm, gfn, 1);
      if (spte === UNREACHED || !isLargeLeaf(spte)) return;
      report.violated(
        `the mapping of ${entryAt(gfn, 1)} split before its folio is`,
        describeSpte(spte),
      );
    });
    vm.listeners.push({
      unmapBegan: (gfn, pages) => taking.set(vm.m.current, [gfn, pages]),
      unmapReturned: () => taking.delete(vm.m.current),
      faultEnded: (vcpu, gfn, acceptLevel, mayRetry) => {
        const stuck = acceptLevel === 0 && mayRetry && isMappedLargePending(vm, gfn);
        sentBack[vcpu] = stuck ? (sentBack[vcpu] ?? 0) + 1 : 0;
        if (acceptLevel === 0) report.exercised();
        if ((sentBack[vcpu] ?? 0) < vm.tdx.platform.steppingThreshold) return;
        report.violated(
          `page ${entryAt(gfn, 1)} split where vcpu${vcpu} accepts ${entryAt(gfn, 0)}`,
          'it is sent back to the same, again',
        );
      },
    });
    watchBlocked(vm, 'table', (entry, seen) =>
      report.violated(
        `table ${entry}, which the mirror maps, unblocked before mmu_lock is released`,
        seen,
      ),
    );
  },
};

const isLargeLeaf = (spte: Spte): boolean => kindOfSpte(spte) === LEAF;

/** A large page that waits for the guest is at `gfn`. */
function isMappedLargePending(vm: Vm, gfn: number): boolean {
  const entry = septAt(vm, gfn, 1);
  return entry !== UNREACHED && isLeaf(entry) && isPending(entry);
}

export const HUGE_PAGE_RULES: readonly VmRule[] = [K65, K66, K67];
export default HUGE_PAGE_RULES;
