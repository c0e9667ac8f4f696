import { EXCLUSIVE } from '../state/task.ts';
import { broken } from './broken-chains.ts';
import type { TraceRule } from './rule.ts';

const K2 = broken('K2', (c) => c.direct || c.mode !== EXCLUSIVE);

export default K2 satisfies TraceRule;
