/** B-73: two zappers that hold mmu_lock for read share wait_for_sept_zap; the first clears it. */
import { demotePage } from '../blocks/resize.ts';
import { returnPages, zapLeaves } from '../blocks/zap.ts';
import { upstream616 } from '../policies/upstream-6.16.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-73',
  title: 'wait_for_sept_zap is not serialized, so vCPUs enter while another zapper retries',
  source: 'the macro of commit 3d626ce5a8cc; lockdep assertions of 6.18',
  base: upstream616,
  breaks: ['K56', 'K57'],
  change: {
    *unmap(vm, gfn, pages) {
      yield* vm.mmuLock.readLock();
      yield* vm.invalidation.begin();
      yield* zapLeaves(vm, gfn, pages, demotePage);
      yield* returnPages(vm, gfn, pages);
      yield* vm.invalidation.end();
      yield* vm.mmuLock.readUnlock();
    },
  },
});
