/**
 * hkid-before-leaves: a teardown with a step moved that was never proposed. Upstream's order (P16)
 * is leaves, vCPUs, caches, HKID, pages, the TDR last, and the module refuses any other (K62).
 */
import { demotePage } from '../blocks/resize.ts';
import { releaseTd } from '../blocks/teardown.ts';
import { zapAll } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

export const hkidBeforeLeaves: Policy = {
  ...frozenMirror,
  name: 'hkid-before-leaves',
  group: 'superseded',
  title: 'free the HKID before the leaves are zapped',
  proposed: 'P16 with a step moved; never proposed',
  breaks: [{ rule: 'K62', why: 'leaves are zapped after the HKID was freed' }],
  *destroy(vm) {
    yield* releaseTd(vm);
    yield* zapAll(vm, demotePage);
  },
};

export default hkidBeforeLeaves;
