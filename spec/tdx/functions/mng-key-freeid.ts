/**
 * TDH.MNG.KEY.FREEID: frees the HKID of a blocked TD, once every package has written its caches
 * back.
 *
 * RCX TDR, held exclusively. The life cycle is checked before the KOT is locked. A fatal TD is not
 * refused.
 *
 * Source: ABI Reference 348551, TDH.MNG.KEY.FREEID leaf (leaf 20); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_key_freeid.c: tdh_mng_key_freeid();
 * docs/module-notes.md#key-ownership.
 */
import { HELD_KOT } from '../call.ts';
import { HKID_FREE } from '../keys.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdGet, tdrOperand } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { TD, TD_BLOCKED, TEARDOWN } from '../td.ts';

export const mngKeyFreeid: InterfaceFunction = {
  name: 'TDH.MNG.KEY.FREEID',
  release: [HELD_KOT, ...TDR_LAST],
  *run(tdx, call) {
    const { m, keys } = tdx;

    // LOCK
    // 1. TDR, exclusive
    const status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE);
    if (status !== S.SUCCESS) return status;

    // GUARD
    // 2. life cycle
    if (tdGet(tdx, call, TD.LIFECYCLE) !== TD_BLOCKED) return S.LIFECYCLE_STATE_INCORRECT;

    // LOCK
    // 3. KOT, exclusive
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD
    // 4. every package has written its caches back
    const hkid = tdGet(tdx, call, TD.HKID);
    if (m.peek(keys.wbinvdBitmap(hkid)) !== 0) return S.WBCACHE_NOT_COMPLETE;

    // EFFECT
    // 5. KOT: free; life cycle
    yield* m.write(keys.state(hkid), HKID_FREE);
    yield* m.write(tdCell(tdx, call, TD.LIFECYCLE), TEARDOWN);
    return S.SUCCESS;
  },
};
