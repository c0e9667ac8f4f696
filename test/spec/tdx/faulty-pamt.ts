/** Functions of a module with dynamic PAMT with one thing changed, each of which breaks T17. */
import { pageAug } from '../../../spec/tdx/functions/page-aug.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { answering, onMachine, through, withParts } from './altered.ts';

/** PAGE.AUG takes a page of a range without PAMT pages. */
export const augIgnoresMissingPair = through(pageAug, ({ pamt }) => ({
  pamt: withParts(pamt, { isNode: (page, size) => size === 1 || pamt.isNode(page, size) }),
}));

/** PAGE.AUG does not count the page in its range. */
export const augDoesNotCount = onMachine(pageAug, (m, { pamt }, call) => ({
  *add(cell, delta) {
    if (cell === pamt.pairs?.count(call.page)) return m.peek(cell);
    return yield* m.add(cell, delta);
  },
}));

/** PAGE.AUG takes a page and makes it a PAMT page as well. */
export const augMakesPamtPage = answering(pageAug, (status, call, { m, pamt: { pairs } }) => {
  if (status === SUCCESS && pairs !== null) m.poke(pairs.bit(call.page), 1);
  return status;
});
