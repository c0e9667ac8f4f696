/**
 * What if PAGE.DEMOTE needed no BLOCK? A module like 1.5.05 that splits a MAPPED or PENDING page of
 * a TD that runs: the feature NON-BLOCKING-RESIZE, for which the huge page series waits before it
 * splits with mmu_lock held for read. A page that is blocked still has to be tracked.
 *
 * The small pages translate as the large one did, so a vCPU may go on with the translation that it
 * has cached. No public source states what the module promises about TLBs; the promise here is the
 * one that its other functions need: a small page is blocked, tracked and removed as ever, and the
 * flush of the tracked vCPUs drops the large translation, too (T05).
 *
 * Source: huge page series v3, cover (20260106101646.24809-1-yan.y.zhao@intel.com), patches 9 and
 * 13 (20260106102108.25074-1, 20260106102207.25143-1); about a split without a flush:
 * aR1iR4knhC52JsUO@yzhao56-desk.sh.intel.com. Not measured: no such module was at hand.
 */
import type { VersionData } from '../../version.ts';
import { V1_5_05 } from '../v1.5.05.ts';

export const DEMOTE_WITHOUT_BLOCK: VersionData = {
  ...V1_5_05,
  name: 'demote-without-block',
  demoteNeedsBlock: false,
};
