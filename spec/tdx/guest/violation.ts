/**
 * EPT violations of a running vCPU that the VMM has to resolve: what it is told, and the TD exit.
 *
 * Source: the TD_EXIT rows of `HW.GUEST.ACCESS` and `TDG.MEM.PAGE.ACCEPT` in the sequential
 * recordings.
 */
import { PAGE_BYTES } from '../../machine/memory.ts';
import type { Steps } from '../../machine/step.ts';
import type { Call } from '../call.ts';
import { isLeaf, permissionsOf, stateCode, stateOf } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { gfnOf } from '../operands.ts';
import * as S from '../status.ts';
import { tdExit } from './td-exit.ts';

/** VMX exit reasons. */
export const EXIT_EXTERNAL_INTERRUPT = 1;
export const EXIT_EPT_VIOLATION = 48;

/** Exit qualification: the access was a write. */
export const WRITE_ACCESS = 2;
/** Extended exit qualification types. */
export const NOT_EXTENDED = 0;
const ACCEPT_TYPE = 1;
export const PENDING_TYPE = 6;

const HIGH = 2 ** 32;
const LEVEL_MASK = 7;

/** Leaves the TD because of the entry that stopped the walk; `gpa` in bytes. */
export function* violationExit(
  tdx: TdxModule,
  call: Call,
  gpa: number,
  extended: number,
): Steps<S.Status> {
  yield* tdExit(tdx, call.tdvpr);
  call.exitReason = EXIT_EPT_VIOLATION;
  call.rcx = WRITE_ACCESS | (permissionsOf(call.entry) << 3);
  call.rdx = extended;
  call.r8 = gpa;
  return S.SUCCESS;
}

/**
 * The exit of an ACCEPT: the extended qualification says what was asked, and which entry was in the
 * way.
 */
export function* acceptViolation(tdx: TdxModule, call: Call, requested: number): Steps<S.Status> {
  const { entry, level } = call;
  const details =
    requested | (level << 3) | (stateCode(stateOf(entry)) << 6) | (isLeaf(entry) ? 1 << 14 : 0);
  return yield* violationExit(
    tdx,
    call,
    gfnOf(call.in.rcx) * PAGE_BYTES,
    ACCEPT_TYPE + details * HIGH,
  );
}

/**
 * The level at which the guest wanted to ACCEPT, from the extended exit qualification; -1 for any
 * other violation.
 */
export const acceptLevelOf = (extended: number): number =>
  extended % HIGH === ACCEPT_TYPE ? Math.floor(extended / HIGH) & LEVEL_MASK : -1;
