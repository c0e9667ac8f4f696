/** K22 in a trace: leaves of a range when its invalidation ends. */
import { nothingLeft } from './nothing-left.ts';
import type { TraceRule } from './rule.ts';

const INVALIDATED = nothingLeft('K22', ['inv_end'], true, () => true);

/** For kernels that report the walks of an invalidation and not its range. */
const WALKED = nothingLeft('K22', ['zap_leafs', 'wl_ret'], false, () => true);

export default [INVALIDATED, WALKED] satisfies readonly TraceRule[];
