import { EXCLUSIVE } from '../state/task.ts';
import { broken } from './broken-chains.ts';
import type { TraceRule } from './rule.ts';

const K3 = broken('K3', (c) => c.mode === EXCLUSIVE);

export default K3 satisfies TraceRule;
