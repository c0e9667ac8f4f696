import { nothingLeft } from './nothing-left.ts';
import type { TraceRule } from './rule.ts';

const K22 = nothingLeft('K22', ['inv_end'], true, () => true);

const WALKED = nothingLeft('K22', ['zap_leafs', 'wl_ret'], false, () => true);

export default [K22, WALKED] satisfies readonly TraceRule[];
