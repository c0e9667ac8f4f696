/**
 * EPT violations of a running vCPU that the VMM has to resolve: the report to the VMM, and the TD
 * exit.
 *
 * Source: intel/tdx-module 1.5.01, src/td_dispatcher/vm_exits/td_other_exits.c:
 * async_tdexit_ept_violation(); docs/module-notes.md#accept.
 */
import { PAGE_BYTES } from '../../machine/memory.ts';
import type { Steps } from '../../machine/step.ts';
import type { Call } from '../call.ts';
import { isLeaf, permissionsOf, stateOf } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { gfnOf } from '../operands.ts';
import * as S from '../status.ts';
import { isFatalExit, leave } from './td-exit.ts';

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

/** Exits the TD because of the entry that stopped the walk; `gpa` in bytes. */
export function* violationExit(
  tdx: TdxModule,
  call: Call,
  gpa: number,
  extended: number,
  isWrite = true,
): Steps<S.Status> {
  yield* leave(tdx, call.tdvpr);
  call.exitReason = EXIT_EPT_VIOLATION;
  call.rcx = isWrite ? WRITE_ACCESS | (permissionsOf(call.entry) << 3) : 0;
  call.rdx = extended;
  call.r8 = gpa;
  return isFatalExit(tdx, call.tdr) ? S.NON_RECOVERABLE_TD_FATAL : S.SUCCESS;
}

/**
 * The exit of an ACCEPT: the extended qualification reports the requested level, and the entry that
 * stopped the walk.
 */
export function* acceptViolation(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { entry, level } = call;
  const { encoding, acceptIsWrite } = tdx.version;
  const leaf = isLeaf(entry) || (encoding.level0IsLeaf && level === 0);
  const details =
    call.askedLevel |
    (level << 3) |
    (encoding.stateCode(stateOf(entry)) << 6) |
    (leaf ? 1 << 14 : 0);
  return yield* violationExit(
    tdx,
    call,
    gfnOf(call.in.rcx) * PAGE_BYTES,
    ACCEPT_TYPE + details * HIGH,
    acceptIsWrite,
  );
}

/** The level that ACCEPT requested, from the extended exit qualification; -1 for other exits. */
export const acceptLevelOf = (extended: number): number =>
  extended % HIGH === ACCEPT_TYPE ? Math.floor(extended / HIGH) & LEVEL_MASK : -1;
