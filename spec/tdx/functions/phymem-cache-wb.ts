/**
 * TDH.PHYMEM.CACHE.WB: writes back the caches of the calling LP's package, for the HKIDs that are
 * flushed when it starts.
 *
 * RCX 0 starts, 1 resumes an interrupted session. A start discards an interrupted session, even
 * when it then finds nothing to do. The call holds the KOT, shared, until it ends.
 *
 * Source: ABI Reference 348551, TDH.PHYMEM.CACHE.WB leaf (leaf 40); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_phymem_cache_wb.c: tdh_phymem_cache_wb();
 * docs/module-notes.md#key-ownership.
 */
import { RMW, type Steps, access } from '../../machine/step.ts';
import { HELD_KOT, HELD_WBT, type Call } from '../call.ts';
import { HKID_FLUSHED } from '../keys.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import * as S from '../status.ts';

const START = 0;
const RESUME = 1;

export const phymemCacheWb: InterfaceFunction = {
  name: 'TDH.PHYMEM.CACHE.WB',
  release: [HELD_KOT, HELD_WBT],
  *run(tdx, call) {
    const { m, keys } = tdx;
    const { rcx: command, lp } = call.in;
    const pkg = keys.packageOf(lp);
    const intrPoint = keys.intrPoint(pkg);

    // GUARD
    // 1. command
    if (command !== START && command !== RESUME) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);

    // LOCK
    // 2. WBT entry of the package
    const mine = yield* tdx.acquire(call, HELD_WBT, keys.wbtLock(pkg), EXCLUSIVE);
    if (!mine) return S.on(S.OPERAND_BUSY, S.OPERANDS.WBCACHE);
    // 3. KOT, shared
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, SHARED);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD
    // 4. HKIDs to write back, or a session to resume
    if (command === START) {
      yield* m.write(intrPoint, 0);
      if (!beginSession(tdx, pkg)) return S.NO_HKID_READY_TO_WBCACHE;
    } else if ((yield* m.read(intrPoint)) === 0) return S.WBCACHE_RESUME_ERROR;

    // EFFECT
    // 5. sub-blocks, until an interrupt is pending
    const done = yield* writeBack(tdx, call, pkg);
    yield* m.write(intrPoint, done);
    if (done !== 0) return S.INTERRUPTED_RESUMABLE;
    // 6. WBINVD_BITMAP of every HKID of the session
    for (const hkid of keys.hkids) {
      if (m.peek(keys.inSession(pkg, hkid)) === 0) continue;
      const bitmap = keys.wbinvdBitmap(hkid);
      yield access(bitmap, RMW);
      m.poke(bitmap, m.peek(bitmap) & ~(1 << pkg));
    }
    return S.SUCCESS;
  },
};

/** Starts a session with the HKIDs that are flushed now; without any it keeps the old list. */
function beginSession({ m, keys }: TdxModule, pkg: number): boolean {
  const flushed = keys.hkids.map((hkid) => m.peek(keys.state(hkid)) === HKID_FLUSHED);
  if (!flushed.includes(true)) return false;
  keys.hkids.forEach((hkid, i) => m.poke(keys.inSession(pkg, hkid), flushed[i] === true ? 1 : 0));
  return true;
}

/**
 * Writes back one sub-block after the other, a step each. Returns 0, or the number of sub-blocks
 * that are done when an interrupt is pending.
 */
function* writeBack(tdx: TdxModule, call: Call, pkg: number): Steps<number> {
  const { m, keys, platform } = tdx;
  for (let done = m.peek(keys.intrPoint(pkg)) + 1; done < platform.cacheSubBlocks; done++) {
    yield* m.read(keys.intrPoint(pkg));
    if (tdx.interruptPending(call)) return done;
  }
  return 0;
}
