/**
 * TDH.PHYMEM.CACHE.WB: writes back the caches of the calling LP's package, for the HKIDs that are
 * flushed when it starts.
 *
 * RCX 0 starts, 1 resumes an interrupted session. Starting forgets an interrupted session, even
 * when there turns out to be nothing to do. Key ownership is locked (shared) for as long as it
 * takes. Source: life-cycle notes §2; `lifecycle-locks.json`.
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

    // GUARD: the command
    if (command !== START && command !== RESUME) return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);

    // LOCK: the package's session, then key ownership
    const mine = yield* tdx.acquire(call, HELD_WBT, keys.wbtLock(pkg), EXCLUSIVE);
    if (!mine) return S.on(S.OPERAND_BUSY, S.OPERANDS.WBCACHE);
    const taken = yield* tdx.acquire(call, HELD_KOT, keys.lock, SHARED);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KOT);

    // GUARD: something to do
    if (command === START) {
      yield* m.write(intrPoint, 0);
      if (!beginSession(tdx, pkg)) return S.NO_HKID_READY_TO_WBCACHE;
    } else if ((yield* m.read(intrPoint)) === 0) return S.WBCACHE_RESUME_ERROR;

    // EFFECT: the caches, as far as no interrupt comes in between; then every HKID of the session
    const done = yield* writeBack(tdx, call, pkg);
    yield* m.write(intrPoint, done);
    if (done !== 0) return S.INTERRUPTED_RESUMABLE;
    for (const hkid of keys.hkids) {
      if (m.peek(keys.inSession(pkg, hkid)) === 0) continue;
      const bitmap = keys.wbinvdBitmap(hkid);
      yield access(bitmap, RMW);
      m.poke(bitmap, m.peek(bitmap) & ~(1 << pkg));
    }
    return S.SUCCESS;
  },
};

/** Notes which HKIDs are flushed now; the notes of a former session stay when there is none. */
function beginSession({ m, keys }: TdxModule, pkg: number): boolean {
  const flushed = keys.hkids.map((hkid) => m.peek(keys.state(hkid)) === HKID_FLUSHED);
  if (!flushed.includes(true)) return false;
  keys.hkids.forEach((hkid, i) => m.poke(keys.inSession(pkg, hkid), flushed[i] === true ? 1 : 0));
  return true;
}

/**
 * Writes back one sub-block after the other, a step each. How many are done when an interrupt is
 * let in, or 0.
 */
function* writeBack(tdx: TdxModule, call: Call, pkg: number): Steps<number> {
  const { m, keys, platform } = tdx;
  for (let done = m.peek(keys.intrPoint(pkg)) + 1; done < platform.cacheSubBlocks; done++) {
    yield* m.read(keys.intrPoint(pkg));
    if (tdx.interruptPending(call)) return done;
  }
  return 0;
}
