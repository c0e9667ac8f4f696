/**
 * vendor-hook (P11, variant B): the vendor's hook replaces the exchange, instead of being called
 * after it. It freezes the mirror entry, makes the change in the Secure EPT, and writes the result;
 * for a zap as for a fault. Message 13 of the thread proposes it, and Linux 7.2 is close to it: one
 * set_external_spte(old, new).
 *
 * It satisfies every rule: it is the frozen window (P4), also around a zap.
 */
import { EMPTY, FROZEN } from '../../spec/kvm/spte.ts';
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { removePage, type ZapLeaf, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Zaps a leaf that is FROZEN until the Secure EPT has lost its page. */
export const zapThroughHook: ZapLeaf = function* (vm, place, gfn) {
  yield* vm.mirror.write(place.table, place.index, FROZEN);
  yield* removePage(vm, place, gfn);
  yield* vm.mirror.write(place.table, place.index, EMPTY);
};

export const vendorHook: Policy = {
  ...frozenMirror,
  name: 'vendor-hook',
  group: 'proposal',
  title: 'one hook freezes the mirror entry, calls the module and writes the entry',
  proposed: 'thread, message 13, Jan 2023 (P11, variant B); Linux 7.2, set_external_spte()',
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', throughFrozen));
  },
  ...zappingBy(zapThroughHook),
};

export default vendorHook;
