/** K8 in a trace: pages of leaves before and after a change. */
import { LEAF } from '../state/spte.ts';
import { changeRule, keepsFrame } from './change-rule.ts';

export default changeRule(
  'K8',
  (c) => c.oldKind === LEAF && c.newKind === LEAF,
  (c) => (keepsFrame(c) ? null : 'a leaf becomes a leaf of another page'),
);
