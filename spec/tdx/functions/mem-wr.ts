/**
 * TDH.MEM.WR: writes 8 bytes of a debug TD's private memory.
 *
 * RCX GPA (8-byte aligned); RDX TDR; R8 the data. Returns the old data in R8.
 *
 * Source: ABI Reference 348551, TDH.MEM.WR leaf (leaf 14); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_rd_wr.c: tdh_mem_wr().
 */
import { accessMemory } from '../debug-access.ts';
import { EXPORTED_DIRTY, MAPPED, setOf } from '../entry.ts';
import type { InterfaceFunction } from '../module.ts';
import { TDR_THEN_ENTRY } from '../release.ts';
import * as S from '../status.ts';

const WRITABLE = setOf(MAPPED, EXPORTED_DIRTY);

export const memWr: InterfaceFunction = {
  name: 'TDH.MEM.WR',
  release: TDR_THEN_ENTRY,
  *run(tdx, call) {
    // GUARD and LOCK
    // 1. to 8. in debug-access.ts
    const status = yield* accessMemory(tdx, call, WRITABLE);
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 9. R8 := the old data; memory := the data: a load, then a store (finding F14)
    call.data = yield* tdx.m.read(call.dataCell);
    yield* tdx.m.write(call.dataCell, call.in.data);
    return S.SUCCESS;
  },
};
