/** The locks that a call takes and releases when it runs alone, in order. */
import type { Cell } from '../../../../spec/machine/machine.ts';
import { kindOf, RELEASE, TRY, type Kind, type Steps } from '../../../../spec/machine/step.ts';
import type { Call } from '../../../../spec/tdx/call.ts';
import { EXCLUSIVE, type LockListener, type Mode } from '../../../../spec/tdx/locks.ts';
import type { Testbed } from '../setups/testbed.ts';

/** One acquisition or release. */
export interface LockStep {
  readonly what: 'acquire' | 'promote' | 'release';
  readonly cell: Cell;
  readonly mode: Mode;
  /** A release without a step of its own: a write of the entry, or of the table that it is in. */
  readonly isByWrite: boolean;
}

export interface LockTrace {
  readonly call: Call;
  readonly steps: readonly LockStep[];
}

class LockRecorder implements LockListener {
  readonly steps: LockStep[] = [];
  /** The kind of the step that is being performed. */
  kind: Kind = TRY;

  taken(cell: Cell, mode: Mode): void {
    const last = this.steps.at(-1);
    const isPromotion = this.kind === TRY && last?.what === 'release' && last.cell === cell;
    if (isPromotion && mode === EXCLUSIVE) {
      this.steps.pop();
      this.steps.push({ what: 'promote', cell, mode, isByWrite: false });
    } else this.steps.push({ what: 'acquire', cell, mode, isByWrite: false });
  }

  refused(): void {
    // an attempt that fails leaves nothing to release
  }

  released(cell: Cell, mode: Mode): void {
    const isByWrite = this.kind !== RELEASE && this.kind !== TRY;
    this.steps.push({ what: 'release', cell, mode, isByWrite });
  }
}

/** Runs a call to its end, in one go. */
export function traceLocks({ tdx }: Testbed, steps: Steps<Call>): LockTrace {
  const recorder = new LockRecorder();
  const { listeners } = tdx.locks;
  listeners.push(recorder);
  try {
    for (;;) {
      const next = steps.next();
      if (next.done === true) return { call: next.value, steps: recorder.steps };
      recorder.kind = kindOf(next.value);
    }
  } finally {
    listeners.splice(listeners.indexOf(recorder), 1);
  }
}

/** The locks that are still held after these steps, in the order of their acquisition. */
export function stillHeld(steps: readonly LockStep[]): readonly LockStep[] {
  const held: LockStep[] = [];
  for (const step of steps) {
    const i = held.findIndex(({ cell }) => cell === step.cell);
    if (step.what === 'acquire') held.push(step);
    else if (i >= 0 && step.what === 'release') held.splice(i, 1);
    else if (i >= 0) held[i] = step;
  }
  return held;
}
