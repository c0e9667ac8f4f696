/**
 * What if PAGE.DEMOTE were never interrupted? A module like 1.5.05 with the feature
 * ENHANCED_DEMOTE_INTERRUPTIBILITY (bit 51 of TDX_FEATURES0), which the huge page series requires:
 * DEMOTE of a TD without L2 VMs does not check for a pending interrupt.
 *
 * Source: huge page series v3, cover (20260106101646.24809-1-yan.y.zhao@intel.com, section 2);
 * modules from 1.5.28 on have it (aTjD5FPl1+ktsRkJ@yzhao56-desk.sh.intel.com); intel/tdx-module,
 * commit 1666adc494db, src/vmm_dispatcher/api_calls/tdh_mem_page_demote.c: tdh_mem_page_demote(),
 * which checks only in its loop over L2 VMs. Read, not measured.
 */
import type { VersionData } from '../../version.ts';
import { V1_5_05 } from '../v1.5.05.ts';

export const UNINTERRUPTIBLE_DEMOTE: VersionData = {
  ...V1_5_05,
  name: 'uninterruptible-demote',
  interruptible: new Set(['TDH.MEM.PAGE.PROMOTE']),
};
