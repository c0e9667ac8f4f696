/**
 * B-56: PAGE.ADD failed and the mirror leaf stayed; the zap of that leaf takes the module's refusal
 * for a bug.
 */
import { zapLeaf } from '../blocks/zap.ts';
import { premapThenAdd, zappingEverything } from '../policies/premap-then-add.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-56',
  title: 'A failed PAGE.ADD leaves a mirror leaf that cannot be zapped',
  source: 'fixed by "Handle SEPT zap error due to page add error in premap" (6.16)',
  base: premapThenAdd,
  breaks: ['K64'],
  change: zappingEverything(zapLeaf),
});
