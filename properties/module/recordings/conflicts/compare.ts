/** Compares each field of a cell of a pair recording with the specification's run of its set-up. */
import type { PairSetup } from '../setups/pair-setup.ts';
import { compareLocks } from './compare-locks.ts';
import {
  compareExchange,
  compareExchanges,
  compareOrder,
  compareRead,
  compareReads,
  compareStep,
  compareSummary,
} from './compare-steps.ts';
import { compareConflict, compareLifecycle } from './compare-suspended.ts';
import { Comparison } from './comparison.ts';
import type { RecordedCell } from './format.ts';
import type { PairMeasurement } from './measurement.ts';
import type { RecordedNames } from './recorded-names.ts';

/** Compares a cell with what was measured for it. */
export function compareCell(
  { kind, cell }: RecordedCell,
  setup: PairSetup,
  names: RecordedNames,
  measured: PairMeasurement,
): Comparison {
  const comparison = new Comparison();
  switch (kind) {
    case 'conflict':
      compareConflict(cell, measured, comparison);
      break;
    case 'lifecycle':
      compareLifecycle(cell, setup, measured, comparison);
      break;
    case 'step':
      compareStep(cell, measured, comparison);
      break;
    case 'summary':
      compareSummary(cell, measured, comparison);
      break;
    case 'exchange':
      compareExchange(cell, measured, comparison);
      break;
    case 'exchanges':
      compareExchanges(cell, measured, comparison);
      break;
    case 'read':
      compareRead(cell, measured, comparison);
      break;
    case 'reads':
      compareReads(cell, measured, comparison);
      break;
    case 'order':
      compareOrder(cell, measured, comparison);
      break;
    case 'locks':
      compareLocks(cell, setup, names, measured, comparison);
      break;
  }
  return comparison;
}
