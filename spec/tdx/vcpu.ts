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
import { MIN_TDVPS_PAGES, TD, TDVPS_PAGES_PER_L2_VM, VP } from './td.ts';

/** TDCX_NUM_INCORRECT, unless the vCPU has all the pages for its TD's number of L2 VMs. */
export function tdvpsAllocated(tdx: TdxModule, call: Call): S.Status {
  const needed = MIN_TDVPS_PAGES + TDVPS_PAGES_PER_L2_VM * tdGet(tdx, call, TD.NUM_L2_VMS);
  return vpGet(tdx, call, VP.NUM_PAGES) < needed ? S.TDCX_NUM_INCORRECT : S.SUCCESS;
}
