/** The TDP MMU of direct roots as in Linux 7.x: all of its parts in one object. */
import { dirtyLog } from './dirty-log.ts';
import { entries } from './entries.ts';
import { faults } from './fault.ts';
import { maps } from './map.ts';
import { notifiers } from './notifiers.ts';
import { nxRecovery } from './nx.ts';
import { roots } from './roots.ts';
import { slots } from './slots.ts';
import type { TdpMmu } from './tdp-mmu.ts';
import { zaps } from './zap.ts';

/** Upstream's MMU of direct roots; a policy overrides members of it. */
export const tdpMmu: TdpMmu = {
  ...entries,
  ...roots,
  ...zaps,
  ...faults,
  ...maps,
  ...notifiers,
  ...slots,
  ...dirtyLog,
  ...nxRecovery,
};
