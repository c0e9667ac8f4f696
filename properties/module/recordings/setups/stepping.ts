/**
 * A VCPU whose zero-step filter is armed: it has left its TD again and again for the same EPT
 * violation, which has been resolved since, so that the next TDH.VP.ENTER looks at the Secure EPT
 * before it lets the VCPU in.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { FREE, PENDING } from '../../../../spec/tdx/entry.ts';
import { isArmed } from '../../../../spec/tdx/stepping.ts';
import { accept, buildEntry, Pools, privatePages } from './entries.ts';
import { lpOf, SetupError, type Stage } from './setups.ts';

/** Far from the entries of a pair, with tables and a page of its own. */
const GPA = 0x80000000;
const firstTable = (td: number): number => 0x100280000 + td * 0x10000;
const WHICH_PAGE = 8;

/**
 * Lets the VCPU fault until the module has listed the GPA, then resolves the fault. The VCPU ends
 * not associated.
 */
export function armSteppingFilter(stage: Stage, td: number, vcpu: number): void {
  const gpa = GPA + vcpu * PAGE_BYTES;
  const pending = { state: PENDING, level: 0, children: FREE, isUntracked: false };
  buildEntry(
    stage,
    new Pools(firstTable(td)),
    td,
    gpa,
    pending,
    privatePages(WHICH_PAGE + 4 * td + vcpu, 0),
  );
  const tdvpr = stage.tdvpr(td, vcpu);
  for (let i = 0; i <= stage.tdx.platform.steppingThreshold; i++) {
    stage.enter(td, vcpu);
    stage.call('HW.GUEST.ACCESS', { rcx: gpa, vcpu: tdvpr, lp: lpOf(td, vcpu) });
  }
  if (!isArmed(stage.tdx, tdvpr)) throw new SetupError('the zero-step filter is not armed');
  accept(stage, td, gpa, 0);
  stage.expect('TDH.VP.FLUSH', { rcx: stage.address(tdvpr), lp: lpOf(td, vcpu) });
}
