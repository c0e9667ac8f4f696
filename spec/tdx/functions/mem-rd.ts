/**
 * TDH.MEM.RD: reads 8 bytes of a debug TD's private memory.
 *
 * RCX GPA (8-byte aligned); RDX TDR. Returns the data in R8.
 *
 * Source: ABI Reference 348551, TDH.MEM.RD leaf (leaf 12); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_rd_wr.c: tdh_mem_rd().
 */
import { accessMemory } from '../debug-access.ts';
import {
  BLOCKEDW,
  EXPORTED_BLOCKEDW,
  EXPORTED_DIRTY,
  EXPORTED_DIRTY_BLOCKEDW,
  MAPPED,
  setOf,
} from '../entry.ts';
import type { InterfaceFunction } from '../module.ts';
import { TDR_THEN_ENTRY } from '../release.ts';
import * as S from '../status.ts';

const READABLE = setOf(
  MAPPED,
  BLOCKEDW,
  EXPORTED_BLOCKEDW,
  EXPORTED_DIRTY,
  EXPORTED_DIRTY_BLOCKEDW,
);

export const memRd: InterfaceFunction = {
  name: 'TDH.MEM.RD',
  release: TDR_THEN_ENTRY,
  *run(tdx, call) {
    // GUARD and LOCK
    // 1. to 8. in debug-access.ts
    const status = yield* accessMemory(tdx, call, READABLE);
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 9. R8 := the data
    call.data = yield* tdx.m.read(call.dataCell);
    return S.SUCCESS;
  },
};
