/**
 * The check of a vCPU that several functions share.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c: map_tdvps();
 * docs/module-notes.md#life-cycle.
 */
import type { Call } from './call.ts';
import type { TdxModule } from './module.ts';
import { tdGet, vpGet } from './operands.ts';
import * as S from './status.ts';
import { TD, VP } from './td.ts';

/** Whether the vCPU has all the pages for its TD's number of L2 VMs. */
export function tdvpsAllocated(tdx: TdxModule, call: Call): S.Status {
  const { min, perL2Vm, wrongNumber } = tdx.version.tdvps;
  const needed = min + perL2Vm * tdGet(tdx, call, TD.NUM_L2_VMS);
  return vpGet(tdx, call, VP.NUM_PAGES) < needed ? wrongNumber : S.SUCCESS;
}
