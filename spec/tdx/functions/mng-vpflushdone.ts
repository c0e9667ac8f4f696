/**
 * TDH.MNG.VPFLUSHDONE: blocks the TD, once no vCPU of it is associated with an LP. Its HKID then
 * waits until the packages have written their caches back.
 *
 * RCX TDR, held exclusively. Neither a fatal TD is refused, nor one whose key was never configured.
 *
 * Source: ABI Reference 348551, TDH.MNG.VPFLUSHDONE leaf (leaf 19); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_vpflushdone.c: tdh_mng_vpflushdone();
 * docs/module-notes.md#key-ownership.
 */
import { HELD_KOT } from '../call.ts';
import { HKID_FLUSHED } from '../keys.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdGet, tdrOperand } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { HKID_ASSIGNED, KEYS_CONFIGURED, TD, TD_BLOCKED, UNINITIALIZED } from '../td.ts';

export const mngVpflushdone: InterfaceFunction = {
  name: 'TDH.MNG.VPFLUSHDONE',
  release: [HELD_KOT, ...TDR_LAST],
  *run(tdx, call) {
    const { m, keys } = tdx;

    // LOCK
    // 1. TDR, exclusive
    const status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE);
    if (status !== S.SUCCESS) return status;
    // 2. KOT, exclusive
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD
    // 3. life cycle
    const lifecycle = tdGet(tdx, call, TD.LIFECYCLE);
    if (lifecycle !== KEYS_CONFIGURED && lifecycle !== HKID_ASSIGNED)
      return S.LIFECYCLE_STATE_INCORRECT;
    // 4. no associated vCPU; only an initialised TD can have one
    const initialised =
      tdGet(tdx, call, TD.NUM_TDCX) >= tdx.version.tdcx.min &&
      tdGet(tdx, call, TD.OP_STATE) !== UNINITIALIZED;
    if (initialised && tdGet(tdx, call, TD.NUM_ASSOC_VCPUS) !== 0) return S.FLUSHVP_NOT_DONE;

    // EFFECT
    // 5. WBINVD_BITMAP: every package; KOT: flushed; life cycle
    const hkid = tdGet(tdx, call, TD.HKID);
    yield* m.write(keys.wbinvdBitmap(hkid), keys.allPackages);
    yield* m.write(keys.state(hkid), HKID_FLUSHED);
    yield* m.write(tdCell(tdx, call, TD.LIFECYCLE), TD_BLOCKED);
    return S.SUCCESS;
  },
};
