/**
 * Runs the races of `races.json` (recorded on the real module, not shipped) on the specification:
 * PAGE.AUG is suspended between its write of the entry and its write of PAMT, and another call
 * runs.
 */
import type { Testbed } from '../../../../properties/module/recordings/setups/testbed.ts';
import { withPair } from './pairs.ts';

export interface Race {
  readonly name: string;
  readonly x?: string;
  readonly xStatus?: string;
  readonly y?: string;
  readonly yResult?: string;
  readonly yStatus?: string;
  readonly yOperand?: number;
  readonly halt?: string;
  readonly entryAfter?: string;
  readonly level?: number;
  readonly hostAug?: string;
  readonly acceptResult?: string;
  readonly acceptStatus?: string;
  readonly retryAcceptStatus?: string;
  readonly moduleHalt?: boolean;
  readonly haltIn?: string;
}

export interface Races {
  readonly unmodified: readonly Race[];
  readonly augSuspensionPoint: readonly Race[];
}

export const AUG = 'TDH.MEM.PAGE.AUG';
export const ACCEPT = 'TDG.MEM.PAGE.ACCEPT';
const SEPT_TREE = 146;
const HALTED_OPERAND = 0xffffffff;

export function ourRace(testbed: Testbed, { name, y = '' }: Race): Race {
  const opState = name.endsWith('INITIALIZED') ? 'INITIALIZED' : 'RUNNABLE';
  const entry = y === 'TDH.MEM.PAGE.DEMOTE' ? 'FREE@L1' : 'FREE@L0';
  const { yStatus, xStatus, entryAfter } = withPair(
    testbed,
    { x: AUG, y, entry, opState },
    (measured) => {
      const writes = measured.trace?.events.filter(({ event }) => event === 'afterWrite');
      return measured.pausedAt(
        writes?.find(({ what }) => what.startsWith('SEPT_ENTRY'))?.steps ?? 0,
      );
    },
  );
  const isHalted = yStatus === 'MODULE_HALT';
  const [status = '', operand] = yStatus.split('|');
  return {
    name,
    x: AUG,
    xStatus,
    y,
    yResult: isHalted ? 'HALT' : 'RETURN',
    yStatus: status,
    yOperand: isHalted ? HALTED_OPERAND : operand === 'SEPT_TREE' ? SEPT_TREE : 0,
    halt: isHalted ? 'UD2 0 0' : '',
    entryAfter: isPending(entryAfter) ? 'PENDING' : 'not PENDING',
  };
}

const isPending = (raw: bigint): boolean =>
  (raw & 0x01e0_0000_0000_02c0n) === 0x0100_0000_0000_00c0n;

/** Suspends ACCEPT between its walk and the entry lock while PAGE.AUG runs; then repeats ACCEPT. */
export function ourAcceptRace(
  testbed: Testbed,
  { name, level = 0, retryAcceptStatus }: Race,
): Race {
  const pair = { x: ACCEPT, y: AUG, entry: `FREE@L${level}` };
  const { yStatus, xStatus, entryAfter, retry } = withPair(testbed, pair, (measured) => {
    const walked = measured.trace?.events.find(({ event }) => event === 'beforeAcquire');
    return { ...measured.pausedAt(walked?.steps ?? 0), retry: measured.xAfterY };
  });
  return {
    name,
    level,
    hostAug: yStatus,
    acceptResult: 'RETURN',
    acceptStatus: xStatus.split('|')[0] ?? '',
    entryAfter: isPending(entryAfter) ? 'PENDING' : 'not PENDING',
    ...(retryAcceptStatus === undefined ? {} : { retryAcceptStatus: retry }),
  };
}

/** The functions that halt, over all points at which one can be suspended while the other runs. */
export function haltsAtAnyPoint(testbed: Testbed, opState: string): string[] {
  const halts = new Set<string>();
  const remove = 'TDH.MEM.PAGE.REMOVE';
  for (const [x, y] of [
    [AUG, remove],
    [remove, AUG],
  ] as const) {
    withPair(testbed, { x, y, entry: 'FREE@L0', opState }, (measured) => {
      for (const { steps } of measured.trace?.events ?? []) {
        const { xStatus, yStatus } = measured.pausedAt(steps);
        if (xStatus === 'MODULE_HALT') halts.add(x);
        if (yStatus === 'MODULE_HALT') halts.add(y);
      }
    });
  }
  return [...halts];
}
