/**
 * TDH.MNG.KEY.CONFIG: configures the TD's key on the package of the calling LP. When every package
 * has the key, the TD's life cycle becomes KEYS_CONFIGURED.
 *
 * RCX TDR, held exclusively. The processor's key table has a lock of its own, inside PCONFIG.
 *
 * Source: ABI Reference 348551, TDH.MNG.KEY.CONFIG leaf (leaf 8); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_key_config.c: tdh_mng_key_config();
 * docs/module-notes.md#key-ownership.
 */
import { HELD_KET } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdGet, tdrOperand } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { HKID_ASSIGNED, KEYS_CONFIGURED, TD } from '../td.ts';

export const mngKeyConfig: InterfaceFunction = {
  name: 'TDH.MNG.KEY.CONFIG',
  release: [HELD_KET, ...TDR_LAST],
  *run(tdx, call) {
    const { m, keys } = tdx;
    const { rcx, lp, inject } = call.in;

    // LOCK
    // 1. TDR, exclusive
    const status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE);
    if (status !== S.SUCCESS) return status;

    // GUARD
    // 2. TD state and life cycle
    if (tdGet(tdx, call, TD.FATAL) !== 0) return tdx.version.fatal;
    if (tdGet(tdx, call, TD.LIFECYCLE) !== HKID_ASSIGNED) return S.LIFECYCLE_STATE_INCORRECT;
    // 3. the package does not have the key yet
    const configured = tdGet(tdx, call, TD.PKG_CONFIG_BITMAP);
    const bit = 1 << keys.packageOf(lp);
    if ((configured & bit) !== 0) return S.KEY_CONFIGURED;

    // LOCK
    // 4. key table, while PCONFIG makes a key
    const taken =
      inject !== 'pconfigDeviceBusy' &&
      (yield* tdx.acquire(call, HELD_KET, keys.ketLock, EXCLUSIVE));
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.KET);
    yield* tdx.release(call, HELD_KET);
    if (inject === 'pconfigEntropyError') return S.KEY_GENERATION_FAILED;

    // EFFECT
    // 5. the package's bit; with the last of them the life cycle
    yield* m.write(tdCell(tdx, call, TD.PKG_CONFIG_BITMAP), configured | bit);
    if ((configured | bit) === keys.allPackages) {
      yield* m.write(tdCell(tdx, call, TD.LIFECYCLE), KEYS_CONFIGURED);
    }
    return S.SUCCESS;
  },
};
