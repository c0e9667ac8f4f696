/**
 * Zero-step mitigation. A VMM that keeps a guest from completing one instruction learns what the
 * instruction touches. So the module counts the EPT violations on private GPAs at an unchanged RIP,
 * lists the GPAs once there are too many, and from then on lets the vCPU enter only when no listed
 * GPA faults any more.
 *
 * "Unchanged" compares with the RIP at the last TDH.VP.ENTER, and only when a violation is counted.
 * So progress of the guest before it leaves for another reason does not reset the count, and
 * neither does TDH.VP.FLUSH. TD exits of TDG.MEM.PAGE.ACCEPT are not counted.
 *
 * Source: intel/tdx-module 1.5.01, src/td_transitions/td_exit_stepping.c:
 * td_exit_epf_stepping_log(), td_entry_stepping_filter(); src/td_transitions/tdh_vp_enter.c:
 * handle_stepping_filter(); docs/module-notes.md#zero-step-mitigation.
 */
import { PAGE_BYTES } from '../machine/memory.ts';
import type { Steps } from '../machine/step.ts';
import type { Call } from './call.ts';
import { isLeaf, PENDING, permissionsOf, stateOf } from './entry.ts';
import type { TdxModule } from './module.ts';
import { gfnOf, tdGet } from './operands.ts';
import { GUEST_WALK, releasePath, walk } from './sept.ts';
import { MAX_LISTED, TD, VP } from './td.ts';

/** A listed GFN takes two words: bits 29:0, and the rest. */
const LOW = 2 ** 30;
const RWX = 7;

type Field = (typeof VP)[keyof typeof VP];

const get = (tdx: TdxModule, tdvpr: number, field: Field): number =>
  tdx.m.peek(tdx.memory.word(tdvpr, field));
const set = (tdx: TdxModule, tdvpr: number, field: Field, value: number): void =>
  tdx.m.poke(tdx.memory.word(tdvpr, field), value);

/** Advances the guest's RIP: an instruction completed. */
export const advanceRip = (tdx: TdxModule, tdvpr: number): void =>
  set(tdx, tdvpr, VP.RIP, get(tdx, tdvpr, VP.RIP) + 1);

/** Records the RIP at which the vCPU is about to enter. */
export const rememberRip = (tdx: TdxModule, tdvpr: number): void =>
  set(tdx, tdvpr, VP.RIP_AT_ENTRY, get(tdx, tdvpr, VP.RIP));

/** Whether GPAs are listed, so that VP.ENTER has to walk to them. */
export const isArmed = (tdx: TdxModule, tdvpr: number): boolean => get(tdx, tdvpr, VP.LISTED) > 0;

/** Clears count and list if the guest's RIP is not that of the last entry. */
export function forgetAfterProgress(tdx: TdxModule, tdvpr: number): void {
  if (get(tdx, tdvpr, VP.RIP) === get(tdx, tdvpr, VP.RIP_AT_ENTRY)) return;
  set(tdx, tdvpr, VP.VIOLATIONS, 0);
  set(tdx, tdvpr, VP.LISTED, 0);
}

/** Counts an EPT violation on a private GPA (bytes) that is about to end in a TD exit. */
export function noteViolation(tdx: TdxModule, tdvpr: number, gpa: number): void {
  forgetAfterProgress(tdx, tdvpr);
  const violations = get(tdx, tdvpr, VP.VIOLATIONS);
  if (violations < tdx.platform.steppingThreshold) set(tdx, tdvpr, VP.VIOLATIONS, violations + 1);
  else listGpa(tdx, tdvpr, gpa);
}

/** Lists a GPA (bytes), unless the list is full or contains it. */
export function listGpa(tdx: TdxModule, tdvpr: number, gpa: number): void {
  const gfn = gfnOf(gpa);
  const listed = get(tdx, tdvpr, VP.LISTED);
  if (listed === MAX_LISTED) return;
  for (let i = 0; i < listed; i++) if (listedGfn(tdx, tdvpr, i) === gfn) return;
  tdx.m.poke(listCell(tdx, tdvpr, listed), gfn % LOW);
  tdx.m.poke(listCell(tdx, tdvpr, listed) + 1, Math.floor(gfn / LOW));
  set(tdx, tdvpr, VP.LISTED, listed + 1);
}

const listCell = (tdx: TdxModule, tdvpr: number, i: number): number =>
  tdx.memory.word(tdvpr, VP.GPA_LIST + 2 * i);

const listedGfn = (tdx: TdxModule, tdvpr: number, i: number): number =>
  tdx.m.peek(listCell(tdx, tdvpr, i)) + tdx.m.peek(listCell(tdx, tdvpr, i) + 1) * LOW;

/**
 * The first listed GPA (bytes) that a guest cannot read, write and execute now, or -1. The caller
 * holds the tree, or the walk locks tables; then `call.pathBusy` is set if one was refused.
 */
export function* faultingGpa(tdx: TdxModule, call: Call): Steps<number> {
  const listed = get(tdx, call.tdvpr, VP.LISTED);
  const ignoresVe = tdx.version.filterIgnoresVe && tdGet(tdx, call, TD.SEPT_VE_DISABLE) === 0;
  for (let i = 0; i < listed; i++) {
    const gfn = listedGfn(tdx, call.tdvpr, i);
    yield* walk(tdx, call, gfn, 0, GUEST_WALK);
    if (call.locksPath) yield* releasePath(tdx, call);
    if (call.pathBusy) return -1;
    const translates = isLeaf(call.entry) && permissionsOf(call.entry) === RWX;
    if (!translates && !(ignoresVe && stateOf(call.entry) === PENDING)) return gfn * PAGE_BYTES;
  }
  return -1;
}
