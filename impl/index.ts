/** The shipped policies, by name. */
import { exclusive } from './exclusive.ts';
import { frozenMirror } from './frozen-mirror.ts';
import { mirrorNaive } from './mirror-naive.ts';
import type { Policy } from './policy.ts';
import { dynamicPamt } from './dynamic-pamt.ts';
import { hostPriority } from './host-priority.ts';
import { hugePages2023 } from './huge-pages-2023.ts';
import { hugePagesRfc1 } from './huge-pages-rfc1.ts';
import { hugePagesV3 } from './huge-pages-v3.ts';
import { hugePagesV5 } from './huge-pages-v5.ts';
import { kickFirst } from './kick-first.ts';
import { kickThenTrackPolicy } from './kick-then-track.ts';
import { seamcallFirst } from './seamcall-first.ts';
import { seamcallSpinlock } from './seamcall-spinlock.ts';
import { sideSept } from './side-sept.ts';
import { vendorHook } from './vendor-hook.ts';
import { retryN, retryNZapUnderRead } from './retry-n.ts';
import {
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
} from './rcu-branch-free.ts';

export const POLICIES: readonly Policy[] = [
  exclusive, frozenMirror, mirrorNaive,
  rcuBranchFree, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock, rcuBranchFreeBottomUp,
  seamcallSpinlock, kickThenTrackPolicy, retryN, retryNZapUnderRead, kickFirst, hostPriority, sideSept,
  seamcallFirst, vendorHook, hugePages2023, hugePagesRfc1, hugePagesV3, hugePagesV5, dynamicPamt,
];

export {
  seamcallSpinlock, kickThenTrackPolicy, retryN, retryNZapUnderRead, kickFirst, hostPriority, sideSept,
  seamcallFirst, vendorHook, hugePages2023, hugePagesRfc1, hugePagesV3, hugePagesV5, dynamicPamt,
  exclusive, frozenMirror, mirrorNaive,
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
};
export type { Breach, Policy } from './policy.ts';
export { Vm } from './vm.ts';
