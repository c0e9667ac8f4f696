/** Status of a TDH.VP.ENTER that the module refuses. */
import { OPERAND_BUSY, toRax } from '../../../spec/tdx/status.ts';

export const BUSY = Number(toRax(OPERAND_BUSY) >> 32n) | 0;
