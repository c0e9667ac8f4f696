import {
  classOf,
  describeStatus,
  GPA_RANGE_NOT_BLOCKED,
  TLB_TRACKING_NOT_DONE,
} from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { watchBlocked } from './state/blocked-entries.ts';
import { DEMOTE } from './state/calls.ts';
import { keyOfCall, nameOfKey } from './state/entry-keys.ts';
import { heldAs, holdsForWrite } from './state/mmu-lock.ts';
import { isSplitUnderRead } from './state/splits.ts';

const NOT_PREPARED: ReadonlySet<number> = new Set([GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE]);

export default {
  id: 'K65',
  level: 'required',
  statement:
    'A large page is split under mmu_lock held for write by BLOCK, TRACK with a kick and DEMOTE, ' +
    'or by DEMOTE of a frozen entry if the module needs no block; if it fails, nothing stays ' +
    'blocked.',
  source:
    'huge page series v3 (Jan 2026), cover, restriction 1; docs/module-notes.md#tlb-tracking ' +
    '(PAGE.DEMOTE)',
  intent:
    'DEMOTE refuses a page that a vCPU may still translate to; a page left blocked stops the ' +
    'guest.',
  hint: 'Check the order BLOCK, TRACK, kick, DEMOTE, and that the error path unblocks the page.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name !== DEMOTE) return;
        report.exercised();
        if (holdsForWrite(vm) || isSplitUnderRead(vm, call)) return;
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
} satisfies VmRule;
