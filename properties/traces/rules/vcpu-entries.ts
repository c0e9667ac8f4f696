/** Status of a TDH.VP.ENTER that the module refuses: K57 and K59. */
import { OPERAND_BUSY, toRax } from '../../../spec/tdx/status.ts';
import type { TraceEvent } from '../reader/event.ts';

/** Bits 63:32, which distinguish statuses. */
const BUSY = Number(toRax(OPERAND_BUSY) >> 32n) | 0;

/** The event, a return of TDH.VP.ENTER, says that the module was busy. */
export const isBusyEntry = (e: TraceEvent): boolean => e.high('status') === BUSY;
