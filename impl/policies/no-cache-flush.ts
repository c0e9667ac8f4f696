/**
 * no-cache-flush: a teardown with a step left out that was never proposed. The HKID is freed while
 * caches may hold lines under it, and the module refuses that (K62; P16 has upstream's order).
 */
import { demotePage } from '../blocks/resize.ts';
import { flushVcpus, freeHkid, reclaimPages, reclaimTdr } from '../blocks/teardown.ts';
import { zapAll } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const noCacheFlush: Policy = {
  ...frozenMirror,
  name: 'no-cache-flush',
  group: 'superseded',
  title: 'free the HKID without writing the caches back',
  proposed: 'P16 with a step left out; never proposed',
  breaks: [{ rule: 'K62', why: 'caches may still hold lines under the HKID' }],
  *destroy(vm) {
    yield* zapAll(vm, demotePage);
    yield* flushVcpus(vm);
    yield* freeHkid(vm);
    yield* reclaimPages(vm);
    yield* reclaimTdr(vm);
  },
};

export default noCacheFlush;
