/** Runs a call and stops at each of its attempts at a lock. */
import type { Cell } from '../../../spec/machine/machine.ts';
import { cellOf, kindOf, RMW, TRY, type Access, type Steps } from '../../../spec/machine/step.ts';
import { HELD_ENTRY, type Call } from '../../../spec/tdx/call.ts';
import type { ModuleListener } from '../../../spec/tdx/module.ts';
import type { PreparedCall } from './calls.ts';

/** An attempt at a lock; or, without one, a compare-and-exchange of the entry that was read. */
export interface Attempt {
  readonly cell: Cell;
  readonly isExchange: boolean;
}

/** Sees an attempt before it is made; what it returns is done right after. */
type Look = (attempt: Attempt, index: number) => (() => void) | null;

/** Runs a prepared call to its end. */
export function runWithAttempts(prepared: PreparedCall, look: Look): Call {
  const { listeners } = prepared.rig.tdx;
  let call: Call | null = null;
  const listener: ModuleListener = { began: (begun) => (call = begun) };
  listeners.push(listener);
  try {
    const steps: Steps<Call> = prepared.start();
    let index = 0;
    for (let next = steps.next(); ;) {
      if (next.done === true) return next.value;
      const attempt = attemptAt(next.value, call);
      const after = attempt === null ? null : look(attempt, index++);
      next = steps.next();
      after?.();
    }
  } finally {
    listeners.splice(listeners.indexOf(listener), 1);
  }
}

function attemptAt(announced: Access, call: Call | null): Attempt | null {
  const cell = cellOf(announced);
  if (kindOf(announced) === TRY) return { cell, isExchange: false };
  const isExchange =
    kindOf(announced) === RMW && call?.entryCell === cell && call.modeOf(HELD_ENTRY) === 0;
  return isExchange ? { cell, isExchange } : null;
}
