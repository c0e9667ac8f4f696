/**
 * TDH.MNG.KEY.RECLAIMID: does nothing and succeeds, whatever its operand. TDH.MNG.VPFLUSHDONE has
 * taken over its work.
 *
 * Source: ABI Reference 348551, TDH.MNG.KEY.RECLAIMID leaf (leaf 27); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_key_reclaimid.c: tdh_mng_key_reclaimid().
 */
import type { InterfaceFunction } from '../module.ts';
import * as S from '../status.ts';

export const mngKeyReclaimid: InterfaceFunction = {
  name: 'TDH.MNG.KEY.RECLAIMID',
  release: [],
  *run() {
    return S.SUCCESS;
  },
};
