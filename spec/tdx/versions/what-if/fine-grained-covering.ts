/**
 * What if, besides, BLOCK of a table did reach the children? In a module like fine-grained-visible,
 * what is below a blocked and tracked table counts as blocked and tracked: no vCPU has a
 * translation that leads through that table. This is what the callback of the question assumes
 * (thread, messages 11 and 13): the TLBs were flushed when the branch was pruned.
 */
import type { VersionData } from '../../version.ts';
import { FINE_GRAINED_VISIBLE } from './fine-grained-visible.ts';

export const FINE_GRAINED_COVERING: VersionData = {
  ...FINE_GRAINED_VISIBLE,
  name: 'fine-grained-covering',
  blockCoversBelow: true,
};
