/**
 * Module 1.5.05: the locks of 1.5.01, another operand of RANGE.UNBLOCK, x2APIC ids in VP.INIT, a
 * halt of TRACK at the end of the epochs, a TD that is fatal once the state of its guest cannot be
 * restored, and what MNG.INIT accepts.
 *
 * Source: tdx-module 1.5.05 (commit f99767b of niooss-ledger/tdx-module),
 * src/vmm_dispatcher/api_calls/: tdh_mem_range_unblock.c, tdh_vp_init.c, tdh_mem_track.c,
 * tdh_mng_init.c; src/td_transitions/tdh_vp_enter.c; measured against 1.5.01 with the same inputs.
 */
import { ATTRIBUTES, TD_PARAMS_1_5_05 } from '../td-params.ts';
import type { VersionData } from '../version.ts';
import { V1_5_01 } from './v1.5.01.ts';

export const V1_5_05: VersionData = {
  ...V1_5_01,
  name: '1.5.05',
  trackingNamesTree: new Set(),
  activeBeforeTreeRelease: false,
  haltsAtLastEpoch: true,
  vpInitVersion: 1,
  restoreFault: 'fatal',
  tdParamsChecks: TD_PARAMS_1_5_05,
  maxVcpus: 576,
  attributes: V1_5_01.attributes | ATTRIBUTES.LASS,
};
