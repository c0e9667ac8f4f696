import { flushRule } from './flush-rule.ts';
import type { TraceRule } from './rule.ts';

export default flushRule('K25') satisfies TraceRule;
