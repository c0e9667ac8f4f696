import type { Call } from '../call.ts';
import { describeEntry, FREE, stateOf, withoutLocks, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { gfnOf, tdGet } from '../operands.ts';
import { RUNNABLE, TD } from '../td.ts';
import type { TdxRule } from './rule.ts';
import { TRANSITIONS, type Transition, type Transitions } from './transitions.ts';
import { blockedAbove, targetOf } from './tree.ts';

export default {
  id: 'T01',
  level: 'required',
  statement:
    'A function changes only its own Secure EPT entry, and only by a state transition that it ' +
    "may make in the TD's OP_STATE.",
  source:
    'ABI Reference 348551, TDH.MEM.SEPT.*, PAGE.* and RANGE.* leaves (2, 3, 5 to 7, 15, 23, 29, ' +
    '30, 39) and TDG.MEM.PAGE.ACCEPT (6); intel/tdx-module 1.5.01, ' +
    'include/auto_gen/sept_state_lookup.c: seamcall_sept_state_lookup; ' +
    'docs/module-notes.md#entry-states',
  intent:
    'An entry in a wrong state lets a TD use a page that it has lost, or blocks one that it ' +
    'should have.',
  hint:
    'Compare the entry states that the function requires and writes with TRANSITIONS in ' +
    'spec/tdx/rules/transitions.ts.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (cell, before, after, call) => {
        if (withoutLocks(before) === withoutLocks(after)) return;
        report.exercised();
        if (cell === call.entryCell) {
          if (mayChange(tdx, call, before, after)) return;
          // a call that overwrites another value than it read breaks T12
          if (withoutLocks(before) !== withoutLocks(call.entry)) return;
        }
        report.violated(
          `${call.name} makes a legal change of ${describeEntry(before)}`,
          `it becomes ${describeEntry(after)}`,
        );
      },
    });
  },
} satisfies TdxRule;

function mayChange(tdx: TdxModule, call: Call, before: Entry, after: Entry): boolean {
  const row = TRANSITIONS.get(call.name);
  if (row === undefined) return false;
  const from = stateOf(before);
  const to = stateOf(after);
  const legal =
    lists(row.always, from, to) ||
    (lists(row.whileBuilding, from, to) && isLenient(tdx, call, row));
  if (!legal) return false;
  if (row.moves === true || from === FREE || to === FREE) return true;
  return targetOf(tdx, before, call.level) === targetOf(tdx, after, call.level);
}

function lists(transitions: readonly Transition[] = [], from: number, to: number): boolean {
  for (const [f, t] of transitions) if (f === from && t === to) return true;
  return false;
}

/** Whether the changes that `row` allows in a TD that is being built are legal. */
function isLenient(tdx: TdxModule, call: Call, { alsoRunning }: Transitions): boolean {
  if (tdGet(tdx, call, TD.OP_STATE) !== RUNNABLE) return true;
  if (alsoRunning === undefined) return false;
  const isCovered = blockedAbove(tdx, call.tdr, gfnOf(call.in.rcx), call.level) >= 0;
  return alsoRunning(tdx.version, isCovered);
}
