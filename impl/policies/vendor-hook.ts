/**
 * vendor-hook (P11, variant B): the vendor's hook takes the place of the exchange, instead of being
 * called after it. It freezes the mirror entry, makes the change in the Secure EPT, and writes what
 * came of it; for what goes as for what comes. What message 13 of the thread meant, and what Linux
 * 7.2 comes close to: one set_external_spte(old, new).
 *
 * It holds every rule: seen from outside it is the frozen window (P4), also around a removal.
 */
import { EMPTY, FROZEN } from '../../spec/kvm/spte.ts';
import { faultUnder, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { removePage, type ZapLeaf, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Nothing becomes of a leaf: it is FROZEN until the Secure EPT has lost the page. */
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
