import { TABLE } from '../state/spte.ts';
import { onChange, sameFrame } from './change-rule.ts';
import type { TraceRule } from './rule.ts';

const K17 = onChange(
  'K17',
  (c) => c.oldKind === TABLE,
  (c) => (c.newKind !== TABLE || sameFrame(c) ? null : 'an entry came to point to another table'),
);

export default K17 satisfies TraceRule;
