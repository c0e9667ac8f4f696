/**
 * Modules that do not exist: a shipped version with something changed that a discussion asks for.
 * `--module` accepts their names; nothing that runs every version runs them. To add one, write its
 * file and list it here.
 */
import { DEMOTE_WITHOUT_BLOCK } from './demote-without-block.ts';
import { DYNAMIC_PAMT } from './dynamic-pamt.ts';
import { FINE_GRAINED_COVERING } from './fine-grained-covering.ts';
import { FINE_GRAINED_VISIBLE } from './fine-grained-visible.ts';
import { FINE_GRAINED } from './fine-grained.ts';
import { ONE_CALL_SPLIT } from './one-call-split.ts';
import { UNINTERRUPTIBLE_DEMOTE } from './uninterruptible-demote.ts';

export const WHAT_IFS = {
  'fine-grained': FINE_GRAINED,
  'fine-grained-visible': FINE_GRAINED_VISIBLE,
  'fine-grained-covering': FINE_GRAINED_COVERING,
  'demote-without-block': DEMOTE_WITHOUT_BLOCK,
  'uninterruptible-demote': UNINTERRUPTIBLE_DEMOTE,
  'one-call-split': ONE_CALL_SPLIT,
  'dynamic-pamt': DYNAMIC_PAMT,
} as const;
