/**
 * What if a split were one call that is done or has changed nothing, and is never interrupted? The
 * features of demote-without-block and of uninterruptible-demote together.
 */
import type { VersionData } from '../../version.ts';
import { DEMOTE_WITHOUT_BLOCK } from './demote-without-block.ts';
import { UNINTERRUPTIBLE_DEMOTE } from './uninterruptible-demote.ts';

export const ONE_CALL_SPLIT: VersionData = {
  ...DEMOTE_WITHOUT_BLOCK,
  name: 'one-call-split',
  interruptible: UNINTERRUPTIBLE_DEMOTE.interruptible,
};
