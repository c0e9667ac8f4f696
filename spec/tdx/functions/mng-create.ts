/**
 * TDH.MNG.CREATE: creates a TD. A free page becomes its TDR, and a free HKID is assigned to it.
 *
 * RCX the page; RDX the HKID.
 *
 * Source: ABI Reference 348551, TDH.MNG.CREATE leaf (leaf 9); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_create.c: tdh_mng_create();
 * docs/module-notes.md#key-ownership.
 */
import { HELD_KOT, HELD_TDR } from '../call.ts';
import { HKID_FREE, HKID_KOT_ASSIGNED } from '../keys.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { pageOperand, tdCell } from '../operands.ts';
import { countPage } from '../pages.ts';
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

    // GUARD
    // 1. HKID: private
    if (!keys.isPrivate(hkid)) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    // 2. page: free, exclusive
    const status = yield* pageOperand(tdx, call, HELD_TDR, rcx, S.OPERANDS.RCX, EXCLUSIVE, NDA);
    if (status !== S.SUCCESS) return status;

    // LOCK
    // 3. KOT, exclusive
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD
    // 4. HKID: free
    if (m.peek(keys.state(hkid)) !== HKID_FREE) return S.HKID_NOT_FREE;
    // 5. page zeroed, then entropy (version 1.5)
    tdx.memory.zero(call.tdr);
    if (tdx.version.needsEntropy && call.in.inject === 'rdseedFails') return S.RND_NO_ENTROPY;

    // EFFECT
    // 6. KOT: assigned
    yield* m.write(keys.state(hkid), HKID_KOT_ASSIGNED);
    // 7. TDR
    m.poke(tdCell(tdx, call, TD.HKID), hkid);
    m.poke(tdCell(tdx, call, TD.LIFECYCLE), HKID_ASSIGNED);
    // 8. PAMT: TDR, no owner
    yield* m.write(pamt.meta(call.tdr, 0), Pamt.pack(TDR, NO_OWNER));
    yield* countPage(tdx, call.tdr);
    return S.SUCCESS;
  },
};
