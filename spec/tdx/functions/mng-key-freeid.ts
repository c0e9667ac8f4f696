/**
 * TDH.MNG.KEY.FREEID: frees the HKID of a blocked TD, once every package has written its caches
 * back.
 *
 * RCX TDR, held exclusively. The life cycle is checked before key ownership is locked; a fatal TD
 * is not refused. Source: life-cycle notes §2; `lifecycle-locks.json`.
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

    // LOCK: the TDR, exclusively
    const status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE);
    if (status !== S.SUCCESS) return status;

    // GUARD: life cycle
    if (tdGet(tdx, call, TD.LIFECYCLE) !== TD_BLOCKED) return S.LIFECYCLE_STATE_INCORRECT;

    // LOCK: key ownership
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD: nothing under this key is left in a cache
    const hkid = tdGet(tdx, call, TD.HKID);
    if (m.peek(keys.wbinvdBitmap(hkid)) !== 0) return S.WBCACHE_NOT_COMPLETE;

    // EFFECT: key ownership, life cycle
    yield* m.write(keys.state(hkid), HKID_FREE);
    yield* m.write(tdCell(tdx, call, TD.LIFECYCLE), TEARDOWN);
    return S.SUCCESS;
  },
};
