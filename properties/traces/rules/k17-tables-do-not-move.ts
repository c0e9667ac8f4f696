/** K17 in a trace: tables that an entry points to before and after a change. */
import { TABLE } from '../state/spte.ts';
import { changeRule, keepsFrame } from './change-rule.ts';

export default changeRule(
  'K17',
  (c) => c.oldKind === TABLE,
  (c) => (c.newKind !== TABLE || keepsFrame(c) ? null : 'an entry is redirected to another table'),
);
