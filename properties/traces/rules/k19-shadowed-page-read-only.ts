import { has, LEAF } from '../state/spte.ts';
import { onChange } from './change-rule.ts';
import type { TraceRule } from './rule.ts';

const K19 = onChange(
  'K19',
  (c) => c.newKind === LEAF,
  (c, { writable, mmuWritable, hostWritable }) => {
    if (has(writable, c.newHi, c.newLo) && !has(mmuWritable, c.newHi, c.newLo))
      return 'W without MMU-writable';
    return has(mmuWritable, c.newHi, c.newLo) && !has(hostWritable, c.newHi, c.newLo)
      ? 'MMU-writable without host-writable'
      : null;
  },
);

export default K19 satisfies TraceRule;
