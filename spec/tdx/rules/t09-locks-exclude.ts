import type { Call } from '../call.ts';
import { MODULE_HALT, SUCCESS } from '../status.ts';
import { EXCLUSIVE_HOLD, lockHolders } from './lock-holders.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T09',
  level: 'required',
  statement:
    'An exclusive holder of a lock is its only holder, and a call releases every lock that it ' +
    'took, except those that a vCPU in the guest keeps.',
  source:
    'intel/tdx-module 1.5.01, src/common/helpers/tdx_locks.h: acquire_sharex_lock_sh(), ' +
    'acquire_sharex_lock_ex(), acquire_sharex_lock_hp(); docs/module-notes.md#locks',
  intent:
    'Every other guarantee of the module rests on its locks; a lock that is never released makes ' +
    'the TD unusable.',
  hint:
    "Check the lock word at the attempt, and the function's `release` list for the role of the " +
    'lock.',
  versions: ['*'],
  watch: (tdx, report) => {
    const holders = lockHolders(tdx);
    /** Holds of the call's actor when the call began: a vCPU in the guest keeps TDVPR and TDR. */
    const before = new Map<Call, number>();
    tdx.m.clearOnReset(before);
    tdx.listeners.push({
      began: (call) => before.set(call, holders.totalOfCurrent),
      ended: (call, status) => {
        const held = before.get(call) as number; // it has begun
        before.delete(call);
        const keeps =
          status === MODULE_HALT || (call.name === 'TDH.VP.ENTER' && status === SUCCESS);
        if (keeps || holders.totalOfCurrent <= held) return;
        report.violated(`${call.name} releases its locks`, 'it still holds some');
      },
    });
    tdx.locks.listeners.push({
      taken: (cell) => {
        const held = holders.of(cell);
        if (held === 1 || held === EXCLUSIVE_HOLD) return; // the only holder
        report.exercised();
        if (held < EXCLUSIVE_HOLD) return;
        report.violated('no conflicting holder', `${tdx.m.nameOf(cell)} was already held`);
      },
      refused: () => report.exercised(),
      released: () => {},
    });
  },
} satisfies TdxRule;
