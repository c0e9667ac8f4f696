/** K19 in a trace: the bits of a leaf that permit writes agree. */
import { has, LEAF } from '../state/spte.ts';
import { changeRule } from './change-rule.ts';

export default changeRule(
  'K19',
  (c) => c.newKind === LEAF,
  (c, { writable, mmuWritable, hostWritable }) => {
    if (has(writable, c.newHi, c.newLo) && !has(mmuWritable, c.newHi, c.newLo))
      return 'a leaf is writable, and not MMU-writable';
    return has(mmuWritable, c.newHi, c.newLo) && !has(hostWritable, c.newHi, c.newLo)
      ? 'a leaf is MMU-writable, and not host-writable'
      : null;
  },
);
