/**
 * TDH.MNG.CREATE: creates a TD: a free page becomes its TDR, a free HKID is assigned to it.
 *
 * RCX the page; RDX the HKID. Source: life-cycle notes §2; `lifecycle-locks.json`.
 */
import { HELD_KOT, HELD_TDR } from '../call.ts';
import { HKID_FREE, HKID_KOT_ASSIGNED } from '../keys.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { pageOperand, tdCell } from '../operands.ts';
import { NDA, NO_OWNER, Pamt, TDR } from '../pamt.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { HKID_ASSIGNED, TD } from '../td.ts';

export const mngCreate: InterfaceFunction = {
  name: 'TDH.MNG.CREATE',
  release: [HELD_KOT, ...TDR_LAST],
  *run(tdx, call) {
    const { m, keys, pamt } = tdx;
    const { rcx, rdx: hkid } = call.in;

    // GUARD: the HKID, then the page
    if (!keys.isPrivate(hkid)) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const status = yield* pageOperand(tdx, call, HELD_TDR, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;

    // LOCK: key ownership
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD: the HKID is nobody's; the page is zeroed before entropy can still run out
    if (m.peek(keys.state(hkid)) !== HKID_FREE) return S.HKID_NOT_FREE;
    tdx.memory.zero(call.tdr);
    if (call.in.inject === 'rdseedFails') return S.RND_NO_ENTROPY;

    // EFFECT: key ownership, the TDR, and PAMT, which makes it one
    yield* m.write(keys.state(hkid), HKID_KOT_ASSIGNED);
    m.poke(tdCell(tdx, call, TD.HKID), hkid);
    m.poke(tdCell(tdx, call, TD.LIFECYCLE), HKID_ASSIGNED);
    yield* m.write(pamt.meta(call.tdr, 0), Pamt.pack(TDR, NO_OWNER));
    return S.SUCCESS;
  },
};
