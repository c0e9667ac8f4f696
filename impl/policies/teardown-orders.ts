/**
 * The end of a TD in other orders than upstream's (P16: leaves, vCPUs, caches, HKID, pages, the TDR
 * last). Nobody proposed these; they are what goes wrong when a step is moved or forgotten, and the
 * module refuses each of them (K62).
 */
import type { Steps } from '../../spec/machine/step.ts';
import { demotePage } from '../blocks/resize.ts';
import {
  flushVcpus,
  freeHkid,
  reclaimPages,
  reclaimTdr,
  releaseTd,
  writeBackCaches,
} from '../blocks/teardown.ts';
import { zapAll } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

const order = (
  name: string,
  title: string,
  why: string,
  destroy: (vm: Vm) => Steps<void>,
): Policy => ({
  ...frozenMirror,
  name,
  title,
  proposed: 'P16 with a step moved; never proposed',
  breaks: [{ rule: 'K62', why }],
  destroy,
});

/** What the leaves are in the end depends on the HKID: it is gone when they are to be removed. */
export const hkidBeforeLeaves = order(
  'hkid-before-leaves',
  'the HKID is freed first, the leaves are zapped after that',
  'leaves are zapped when no HKID is assigned any more',
  function* (vm) {
    yield* releaseTd(vm);
    yield* zapAll(vm, demotePage);
  },
);

export const tdrFirst = order(
  'tdr-first',
  'the TDR is reclaimed before the other pages',
  'the TD has pages left',
  function* (vm) {
    yield* zapAll(vm, demotePage);
    yield* flushVcpus(vm);
    yield* writeBackCaches(vm);
    yield* freeHkid(vm);
    yield* reclaimTdr(vm);
    yield* reclaimPages(vm);
  },
);

export const noCacheFlush = order(
  'no-cache-flush',
  'the HKID is freed without the caches written back',
  'lines under the HKID may still come',
  function* (vm) {
    yield* zapAll(vm, demotePage);
    yield* flushVcpus(vm);
    yield* freeHkid(vm);
    yield* reclaimPages(vm);
    yield* reclaimTdr(vm);
  },
);

export default hkidBeforeLeaves;
