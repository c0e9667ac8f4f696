import { LEAF } from '../state/spte.ts';
import { onChange, sameFrame } from './change-rule.ts';
import type { TraceRule } from './rule.ts';

const K8 = onChange(
  'K8',
  (c) => c.oldKind === LEAF && c.newKind === LEAF,
  (c) => (sameFrame(c) ? null : 'a leaf became one of another page'),
);

export default K8 satisfies TraceRule;
