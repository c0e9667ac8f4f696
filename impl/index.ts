/** The shipped policies, by name. */
import { exclusive } from './exclusive.ts';
import { frozenMirror } from './frozen-mirror.ts';
import { mirrorNaive } from './mirror-naive.ts';
import type { Policy } from './policy.ts';
import {
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
} from './rcu-branch-free.ts';
import { upstream7 } from './upstream-7.ts';

export const POLICIES: readonly Policy[] = [
  exclusive, frozenMirror, upstream7, mirrorNaive,
  rcuBranchFree, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock, rcuBranchFreeBottomUp,
];

export {
  exclusive, frozenMirror, upstream7, mirrorNaive,
  rcuBranchFree, rcuBranchFreeBottomUp, rcuBranchFreeRetry, rcuBranchFreeTableFirst, rcuBranchFreeUnblock,
};
export type { Breach, Policy } from './policy.ts';
export { Vm } from './vm.ts';
