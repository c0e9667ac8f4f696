/**
 * What if, besides, a blocked table hid its children from guests only? The functions of the host
 * walk through a blocked table of a module like fine-grained, so that the callback of the question
 * reaches what is below the branch that was blocked. A page below still has to be blocked and
 * tracked itself before it is removed, as message 12 of the thread says: BLOCK does not reach the
 * children.
 */
import type { VersionData } from '../../version.ts';
import { FINE_GRAINED } from './fine-grained.ts';

export const FINE_GRAINED_VISIBLE: VersionData = {
  ...FINE_GRAINED,
  name: 'fine-grained-visible',
  blockedTablesHide: false,
};
