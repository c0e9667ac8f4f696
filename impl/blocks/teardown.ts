/**
 * Destroying a TD in the order that the module accepts (K62): zap private leaves while the HKID is
 * assigned; flush vCPUs; write caches back; free the HKID; reclaim every page, the TDR last. The
 * module writes the TDR's lines under its own key, so the TDR is written back separately.
 */
import { kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import { pageNumberOf } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { mngKeyFreeid } from '../../spec/tdx/functions/mng-key-freeid.ts';
import { mngVpflushdone } from '../../spec/tdx/functions/mng-vpflushdone.ts';
import { phymemCacheWb } from '../../spec/tdx/functions/phymem-cache-wb.ts';
import { phymemPageReclaim } from '../../spec/tdx/functions/phymem-page-reclaim.ts';
import { phymemPageWbinvd } from '../../spec/tdx/functions/phymem-page-wbinvd.ts';
import { vpFlush } from '../../spec/tdx/functions/vp-flush.ts';
import * as S from '../../spec/tdx/status.ts';
import { TDVPR_PAGES } from '../vm/build-td.ts';
import { isStatus, type Vm, type VmVcpu } from '../vm/vm.ts';
import { freeTable } from './resize.ts';

const START = 0;
const RESUME = 1;

/**
 * Releases the TD after the last leaf was zapped. `reclaimed` is called for each page of a table
 * that the module has returned.
 */
export function* releaseTd(
  vm: Vm,
  reclaimed: (page: number) => Steps<void> = nothing,
): Steps<void> {
  yield* flushVcpus(vm);
  yield* writeBackCaches(vm);
  yield* freeHkid(vm);
  yield* reclaimPages(vm, reclaimed);
  yield* reclaimTdr(vm);
}

/** The vCPUs that the module has. */
const vcpusOf = (vm: Vm): readonly VmVcpu[] => vm.vcpus.filter(({ index }) => vm.td.isReady(index));

/** Flushes every vCPU from its processor, and confirms it by MNG.VPFLUSHDONE. */
export function* flushVcpus(vm: Vm): Steps<void> {
  yield* vm.rcu.barrier();
  for (const { tdvpr, index } of vcpusOf(vm)) {
    yield* vm.seamcall(vpFlush, { rcx: vm.address(tdvpr), lp: index }, [S.VCPU_NOT_ASSOCIATED]);
  }
  yield* vm.seamcall(mngVpflushdone, { rcx: vm.address(vm.tdr) });
}

/** Writes the TD's cache lines back to memory. */
export function* writeBackCaches(vm: Vm): Steps<void> {
  let call = yield* vm.seamcall(phymemCacheWb, { rcx: START }, [S.INTERRUPTED_RESUMABLE]);
  while (isStatus(call, S.INTERRUPTED_RESUMABLE)) {
    call = yield* vm.seamcall(phymemCacheWb, { rcx: RESUME }, [S.INTERRUPTED_RESUMABLE]);
  }
}

/** Frees the TD's HKID. */
export function* freeHkid(vm: Vm): Steps<void> {
  yield* vm.seamcall(mngKeyFreeid, { rcx: vm.address(vm.tdr) });
}

/** Reclaims every page but the TDR. */
export function* reclaimPages(
  vm: Vm,
  reclaimed: (page: number) => Steps<void> = nothing,
): Steps<void> {
  yield* freeTablesBelow(vm, vm.mirror.root, reclaimed);
  yield* vm.pages.free(vm.mirror.root);
  for (const { tdvpr } of vcpusOf(vm)) yield* reclaimControl(vm, tdvpr, TDVPR_PAGES);
  yield* reclaimControl(vm, vm.tdr + 1, vm.tdx.version.tdcx.min);
}

/** Reclaims the TDR, whose lines the module wrote under its own key. */
export function* reclaimTdr(vm: Vm): Steps<void> {
  yield* vm.seamcall(phymemPageReclaim, { rcx: vm.address(vm.tdr) });
  yield* vm.seamcall(phymemPageWbinvd, {
    rcx: vm.address(vm.tdr) + vm.tdx.keys.first * 2 ** vm.tdx.platform.hkidShift,
  });
  yield* vm.pamt.putControl(vm.tdr);
  for (const listener of vm.listeners) listener.hostTouched?.(vm.tdr);
}

function* nothing(): Steps<void> {}

/** Reclaims and frees every table below a mirror table. */
function* freeTablesBelow(
  vm: Vm,
  table: PageRef,
  reclaimed: (page: number) => Steps<void>,
): Steps<void> {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = yield* vm.mirror.read(table, i);
    if (kindOfSpte(spte) !== TABLE) continue;
    const child = pageOfSpte(spte);
    yield* freeTablesBelow(vm, child, reclaimed);
    const external = pageNumberOf(vm.mirror.externalOf(child));
    yield* reclaim(vm, external);
    yield* reclaimed(external);
    yield* freeTable(vm, child);
  }
}

/** Reclaims pages of a control structure. */
function* reclaimControl(vm: Vm, first: number, pages: number): Steps<void> {
  for (let page = first; page < first + pages; page++) {
    yield* reclaim(vm, page);
    yield* vm.pamt.putControl(page);
  }
}

function* reclaim(vm: Vm, page: number): Steps<void> {
  yield* vm.seamcall(phymemPageReclaim, { rcx: vm.address(page) });
  for (const listener of vm.listeners) listener.hostTouched?.(page);
}
