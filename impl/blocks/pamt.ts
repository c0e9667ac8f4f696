/**
 * PAMT.ADD and REMOVE as KVM makes them, for a module with dynamic PAMT turned on. No status is
 * tolerated: the caller serializes them (spec/kvm/dynamic-pamt.ts). Source: dynamic PAMT series v6,
 * patches 4 and 6 (May 2026).
 */
import type { PamtCalls } from '../../spec/kvm/dynamic-pamt.ts';
import type { PamtPair } from '../../spec/kvm/pamt-caches.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import { pageNumberOf } from '../../spec/machine/pages.ts';
import type { Register } from '../../spec/tdx/call.ts';
import { phymemPamtAdd } from '../../spec/tdx/functions/phymem-pamt-add.ts';
import { phymemPamtRemove } from '../../spec/tdx/functions/phymem-pamt-remove.ts';
import { succeeded, type Vm } from '../vm/vm.ts';

const LARGE = 1;

/** The calls of a VM that exists by the time of the first call. */
export const pamtCalls = (vmOf: () => Vm): PamtCalls => ({
  *add(page, pair) {
    const vm = vmOf();
    const [rdx, r8] = addressesOf(vm, pair);
    return succeeded(yield* vm.seamcall(phymemPamtAdd, { rcx: rangeOf(vm, page), rdx, r8 }));
  },
  *remove(page) {
    const vm = vmOf();
    const call = yield* vm.seamcall(phymemPamtRemove, { rcx: rangeOf(vm, page) });
    return succeeded(call) ? pairAt(vm, [call.rdx, call.r8]) : null;
  },
});

/** The range of a page, with level 2M, as an operand. */
const rangeOf = (vm: Vm, page: number): number =>
  vm.address(vm.tdx.geometry.align(page, LARGE)) + LARGE;

/** HPAs (bytes) of the pages of a pair. */
export const addressesOf = (vm: Vm, [first, second]: PamtPair): [Register, Register] => [
  vm.address(pageNumberOf(first)),
  vm.address(pageNumberOf(second)),
];

/** The pair whose pages have these HPAs (bytes). */
export const pairAt = (vm: Vm, hpas: readonly [Register, Register]): PamtPair => {
  const refTo = (hpa: Register): number =>
    vm.pages.refTo(hpa / PAGE_BYTES - vm.tdx.platform.tdmrBase);
  return [refTo(hpas[0]), refTo(hpas[1])];
};
