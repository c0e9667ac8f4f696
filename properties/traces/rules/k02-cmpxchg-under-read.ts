/** K2 in a trace: no write is lost between two changes under mmu_lock held for read. */
import { EXCLUSIVE } from '../state/task.ts';
import { brokenChainRule } from './broken-chains.ts';

export default brokenChainRule('K2', (c) => c.direct || c.mode !== EXCLUSIVE);
