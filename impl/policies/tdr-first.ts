/**
 * tdr-first: a teardown with a step moved that was never proposed. The TDR is reclaimed before the
 * TD's other pages, and the module refuses that (K62; P16 has upstream's order).
 */
import { demotePage } from '../blocks/resize.ts';
import {
  flushVcpus,
  freeHkid,
  reclaimPages,
  reclaimTdr,
  writeBackCaches,
} from '../blocks/teardown.ts';
import { zapAll } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const tdrFirst: Policy = {
  ...frozenMirror,
  name: 'tdr-first',
  group: 'superseded',
  title: 'reclaim the TDR before the other pages',
  proposed: 'P16 with a step moved; never proposed',
  breaks: [{ rule: 'K62', why: 'the TD still has other pages' }],
  *destroy(vm) {
    yield* zapAll(vm, demotePage);
    yield* flushVcpus(vm);
    yield* writeBackCaches(vm);
    yield* freeHkid(vm);
    yield* reclaimTdr(vm);
    yield* reclaimPages(vm);
  },
};

export default tdrFirst;
