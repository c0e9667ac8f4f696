import { classOf, INTERRUPTED_RESTARTABLE, SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { DEMOTE, PROMOTE, UNBLOCKS } from './state/calls.ts';
import { keyOfCall } from './state/entry-keys.ts';
import { PendingEntries } from './state/pending-entries.ts';
import { isEntryBlocked } from './state/splits.ts';

/** Interruptions in a row that are allowed with mmu_lock held: as often as P3 repeats a call. */
const MAX_INTERRUPTIONS = 16;

export default {
  id: 'K66',
  level: 'stochastic',
  statement:
    'Before mmu_lock is released, an interrupted resize, which changed nothing, is restarted or ' +
    'its range, if blocked, is unblocked; it is not restarted for ever with mmu_lock held.',
  source:
    'huge page series v3 (ENHANCED_DEMOTE_INTERRUPTIBILITY); ' +
    'docs/module-notes.md#refused-calls (PROMOTE, DEMOTE)',
  intent:
    'A range left blocked stops the guest; endless restarts keep every fault waiting for mmu_lock.',
  hint: 'Check the loop around DEMOTE or PROMOTE: its bound, and UNBLOCK when it gives up.',
  versions: ['*'],
  watch: (vm, report) => {
    const pending = new PendingEntries(vm);
    /** Interruptions since any actor last released mmu_lock. */
    let inARow = 0;
    vm.m.onReset(() => {
      inARow = 0;
    });
    vm.tdx.listeners.push({
      ended: (call, status) => {
        const isResize = call.name === DEMOTE || call.name === PROMOTE;
        if (classOf(status) === INTERRUPTED_RESTARTABLE && isResize) {
          report.exercised();
          if (isEntryBlocked(vm, call)) pending.begin(keyOfCall(call));
          if (++inARow <= MAX_INTERRUPTIONS) return;
          report.violated(
            `mmu_lock released after ${MAX_INTERRUPTIONS} interruptions of ${call.name}`,
            `${inARow} in a row`,
          );
        } else if (status === SUCCESS && UNBLOCKS.has(call.name)) {
          pending.finish(keyOfCall(call));
        }
      },
    });
    vm.mmuLock.listeners.push({
      releasing: () => {
        inARow = 0;
      },
    });
    pending.atRelease((entry) =>
      report.violated(
        `the resize of ${entry} restarted or undone before mmu_lock is released`,
        'it is left half done',
      ),
    );
  },
} satisfies VmRule;
