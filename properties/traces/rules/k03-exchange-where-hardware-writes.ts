/** K3 in a trace: no write is lost between two changes under mmu_lock held for write. */
import { EXCLUSIVE } from '../state/task.ts';
import { brokenChainRule } from './broken-chains.ts';

export default brokenChainRule('K3', (c) => c.mode === EXCLUSIVE);
