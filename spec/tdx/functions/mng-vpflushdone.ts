/**
 * TDH.MNG.VPFLUSHDONE: says that no vCPU of the TD is associated with an LP any more. The TD is
 * blocked from here on, its HKID waits for the caches to be written back.
 *
 * RCX TDR, held exclusively. A fatal TD is not refused, nor one whose key was never configured.
 * Source: life-cycle notes notes §2; `lifecycle-locks.json`.
 */
import { HELD_KOT } from '../call.ts';
import { HKID_FLUSHED } from '../keys.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdGet, tdrOperand } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { HKID_ASSIGNED, KEYS_CONFIGURED, MIN_TDCX, TD, TD_BLOCKED, UNINITIALIZED } from '../td.ts';

export const mngVpflushdone: InterfaceFunction = {
  name: 'TDH.MNG.VPFLUSHDONE',
  release: [HELD_KOT, ...TDR_LAST],
  *run(tdx, call) {
    const { m, keys } = tdx;

    // LOCK: the TDR, exclusively; key ownership
    const status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE);
    if (status !== S.SUCCESS) return status;
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD: life cycle; vCPUs, which only an initialised TD can have
    const lifecycle = tdGet(tdx, call, TD.LIFECYCLE);
    if (lifecycle !== KEYS_CONFIGURED && lifecycle !== HKID_ASSIGNED)
      return S.LIFECYCLE_STATE_INCORRECT;
    const initialised =
      tdGet(tdx, call, TD.NUM_TDCX) >= MIN_TDCX && tdGet(tdx, call, TD.OP_STATE) !== UNINITIALIZED;
    if (initialised && tdGet(tdx, call, TD.NUM_ASSOC_VCPUS) !== 0) return S.FLUSHVP_NOT_DONE;

    // EFFECT: every package has to write back; key ownership; life cycle
    const hkid = tdGet(tdx, call, TD.HKID);
    yield* m.write(keys.wbinvdBitmap(hkid), keys.allPackages);
    yield* m.write(keys.state(hkid), HKID_FLUSHED);
    yield* m.write(tdCell(tdx, call, TD.LIFECYCLE), TD_BLOCKED);
    return S.SUCCESS;
  },
};
