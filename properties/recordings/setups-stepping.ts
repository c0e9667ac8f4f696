/**
 * A VCPU whose zero-step filter is armed: it has left its TD again and again for the same EPT violation, which has been
 * resolved since, so that the next TDH.VP.ENTER looks at the Secure EPT before it lets the VCPU in.
 */
import { MAPPED, PENDING } from '../../spec/tdx/entry.ts';
import { buildEntry, entryCell, Pools } from './setups-entries.ts';
import { lpOf, type Stage } from './setups.ts';
import { entry, pageOf } from '../../spec/tdx/entry.ts';

/** Far from the entries of a pair, with tables and a page of its own. */
const GPA = 0x80000000;
const FIRST_TABLE = '0x100280000';
const WHICH_PAGE = 8;
/** More than the six violations that are let pass. Source: TDX-MODULE notes §3, TDH.VP.ENTER. */
const VIOLATIONS = 8;

export function armSteppingFilter(stage: Stage, td: number, vcpu: number): void {
  const mark = { state: PENDING, level: 0, children: 0, tracked: false };
  buildEntry(stage, new Pools(stage, FIRST_TABLE), td, GPA + vcpu * 0x1000, mark, WHICH_PAGE + vcpu);
  const cell = entryCell(stage, td, GPA + vcpu * 0x1000, 0);
  const tdvpr = stage.tdvpr(td, vcpu);
  for (let i = 0; i < VIOLATIONS; i++) {
    stage.enter(td, vcpu);
    stage.call('HW.GUEST.ACCESS', { rcx: GPA + vcpu * 0x1000, vcpu: tdvpr, lp: lpOf(td, vcpu) });
  }
  stage.m.poke(cell, entry(MAPPED, pageOf(stage.m.peek(cell))));
  stage.expect('TDH.VP.FLUSH', { rcx: stage.address(tdvpr), lp: lpOf(td, vcpu) });
}
