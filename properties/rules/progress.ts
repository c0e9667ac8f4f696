import { VM_KINDS } from '../../impl/vm/vm.ts';
import { EMPTY, FROZEN } from '../../spec/kvm/spte.ts';
import {
  BAD_GUEST_ENTRY,
  BAD_UNLOCK,
  DEADLOCK,
  DOUBLE_FREE,
  ENDED_HOLDING,
  LIVELOCK,
  USE_AFTER_FREE,
} from '../../spec/machine/faults.ts';
import { classOf, OPERAND_BUSY, SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';

const S04: VmRule = {
  id: 'S04',
  level: 'required',
  statement: 'No page of the kernel is used after it was freed, or freed twice.',
  source: 'K5, K16, K51',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [USE_AFTER_FREE.id, DOUBLE_FREE.id],
  atRest: (_vm, report) => report.exercised(),
};

const S07: VmRule = {
  id: 'S07',
  level: 'required',
  statement: 'Nobody waits for ever, and nobody ends with a lock in hand.',
  source: 'K4, K42, K57',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [DEADLOCK.id, BAD_UNLOCK.id, ENDED_HOLDING.id, BAD_GUEST_ENTRY.id],
  atRest: (_vm, report) => report.exercised(),
};

const S08: VmRule = {
  id: 'S08',
  level: 'required',
  statement: 'Under a fair schedule every operation ends: no retry goes on for ever.',
  source: 'thread, messages 2, 4 and 7; K58, K66',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [LIVELOCK.id],
  atRest: (_vm, report) => report.exercised(),
};

/**
 * Calls about the Secure EPT: what a BUSY of theirs left half done has to be finished or taken
 * back.
 */
const isMemoryCall = (name: string): boolean => name.startsWith('TDH.MEM.');

const UNBLOCK = 'TDH.MEM.RANGE.UNBLOCK';

const S09: VmRule = {
  id: 'S09',
  level: 'required',
  statement:
    'An operation that met BUSY ends only after the call succeeded or what it had begun was put back.',
  source: 'K44, K53, K56',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per actor: the call that was refused, as "function operand", or nothing. */
    const refused = new Map<number, string>();
    vm.m.clearOnReset(refused);
    vm.listeners.push({
      answered: (call) => {
        if (!isMemoryCall(call.name)) return;
        const isBusy = classOf(call.status) === OPERAND_BUSY;
        if (!isBusy && !refused.has(vm.m.current)) return;
        const what = `${call.name} ${call.in.rcx}`;
        if (isBusy) return void refused.set(vm.m.current, what);
        const pending = refused.get(vm.m.current);
        // a resize that is not to be, after all, leaves the mirror as it was: its range is unblocked
        const isEnd =
          pending === what ||
          (call.name === UNBLOCK && pending?.endsWith(` ${call.in.rcx}`) === true);
        if (call.status !== SUCCESS || !isEnd) return;
        report.exercised();
        refused.delete(vm.m.current);
      },
      operationEnded: () => {
        const what = refused.get(vm.m.current);
        if (what !== undefined && !vm.td.isDead())
          report.violated(`${what} repeated or rolled back`, 'the operation ended');
      },
    });
    vm.mirror.listeners.push((_table, _index, before, after) => {
      if (after !== EMPTY || before === EMPTY) return;
      if (before === FROZEN || refused.has(vm.m.current)) {
        if (refused.has(vm.m.current)) report.exercised();
        refused.delete(vm.m.current);
      }
    });
  },
};

export const PROGRESS_RULES: readonly VmRule[] = [S04, S07, S08, S09];
