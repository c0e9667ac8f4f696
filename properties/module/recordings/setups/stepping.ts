/**
 * Arms the zero-step filter of a vCPU. The vCPU exits again and again for the same EPT violation;
 * then the violation is resolved, so that the next TDH.VP.ENTER walks the Secure EPT before the
 * vCPU enters.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { FREE, PENDING } from '../../../../spec/tdx/entry.ts';
import { isArmed } from '../../../../spec/tdx/stepping.ts';
import { accept, buildEntry, PagePool, pagesByEntry } from './entries.ts';
import { lpOf, SetupError, type Testbed } from './testbed.ts';

/** Far from the entries of a pair, with tables and a page of its own. */
const GPA = 0x80000000;
const firstTable = (td: number): number => 0x100280000 + td * 0x10000;
const WHICH_PAGE = 8;

/** Makes the vCPU fault until the module has listed the GPA, then resolves the fault. */
export function armSteppingFilter(testbed: Testbed, td: number, vcpu: number): void {
  const gpa = GPA + vcpu * PAGE_BYTES;
  const pending = {
    state: PENDING,
    level: 0,
    children: FREE,
    isTracked: false,
    isUntracked: false,
  };
  const pages = pagesByEntry(WHICH_PAGE + 4 * td + vcpu);
  buildEntry(testbed, new PagePool(firstTable(td)), td, gpa, pending, pages);
  const tdvpr = testbed.tdvpr(td, vcpu);
  for (let i = 0; i <= testbed.tdx.platform.steppingThreshold; i++) {
    testbed.enter(td, vcpu);
    testbed.call('HW.GUEST.ACCESS', { rcx: gpa, vcpu: tdvpr, lp: lpOf(td, vcpu) });
  }
  if (!isArmed(testbed.tdx, tdvpr)) throw new SetupError('the zero-step filter is not armed');
  accept(testbed, td, gpa, 0);
  if (testbed.conventions.flushesArmed)
    testbed.expect('TDH.VP.FLUSH', { rcx: testbed.address(tdvpr), lp: lpOf(td, vcpu) });
}
