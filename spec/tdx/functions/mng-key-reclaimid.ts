/**
 * TDH.MNG.KEY.RECLAIMID: does nothing and succeeds, whatever its operand; TDH.MNG.VPFLUSHDONE does
 * its work.
 *
 * Source: life-cycle notes §2.
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
