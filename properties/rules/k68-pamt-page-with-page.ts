import type { Vm } from '../../impl/vm/vm.ts';
import { VM_CACHE, type PamtCache } from '../../spec/kvm/pamt-caches.ts';
import { actorName } from '../../spec/machine/faults.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Reporter } from '../../spec/machine/monitor.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { pageOf } from '../../spec/tdx/entry.ts';
import { NDA, pageTypeName } from '../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { DEMOTE } from './state/calls.ts';
import { levelOfCall } from './state/entry-keys.ts';

/** Calls that pass a 4K page to the module in R8. */
const PASSES_PAGE: ReadonlySet<string> = new Set(['TDH.MEM.SEPT.ADD', 'TDH.MEM.PAGE.AUG', DEMOTE]);

export default {
  id: 'K68',
  level: 'required',
  statement:
    "The module gets a page only after the page has its PAMT page, from the running vCPU's cache " +
    "or, under its lock, the VM's; the PAMT page is released after the module returned the page.",
  source: 'dynamic PAMT series v6, patch 9/11 (May 2026); huge page RFC v2',
  intent: 'Without its PAMT page the module refuses a page; one released early loses its metadata.',
  hint:
    'Check that each pamt_get has one pamt_put, also on error paths, and none in an RCU ' +
    'callback.',
  versions: ['*'],
  watch: (vm, report) => {
    if (vm.policy.dynamicPamt !== true) return;
    /** Per page: PAMT pages got for it. Two faults on a GFN get one each, and one puts it back. */
    const covered = new Int32Array(vm.memory.pages);
    const atFirst = pagesInUse(vm);
    vm.m.onReset(() => {
      covered.fill(0);
      for (const page of atFirst) covered[page] = 1;
    });
    watchCaches(vm, report);
    watchUses(vm, report, covered);
    vm.tdx.listeners.push({
      began: (call) => {
        const page = pagePassed(vm, call);
        if (page < 0 || ((covered[page] ?? 0) > 0 && isInstalled(vm, page))) return;
        report.violated(`page ${page} has its PAMT page before ${call.name}`, 'it has none');
      },
      ended: (call, status) => {
        // a module with the feature has the pair of the range from the call itself
        if (call.name !== DEMOTE || status !== SUCCESS || vm.pamt.calls !== null) return;
        for (const page of smallPagesOf(vm, call)) {
          if (vm.pamt.usesOf(page) === 0)
            report.violated(`page ${page}, now small, has its PAMT page`, 'it has none');
        }
      },
    });
  },
  atRest: (vm, report) => {
    if (vm.pamt.calls === null) return;
    for (let page = 0; page < vm.memory.pages; page += vm.sizes.largePage) {
      const uses = vm.pamt.usesOf(page);
      if (uses > 0 === vm.tdx.pamt.isNode(page, 1)) continue;
      const seen = uses > 0 ? 'it has none' : 'it has some';
      return report.violated(`PAMT pages for the range of page ${page}, with ${uses} uses`, seen);
    }
  },
  atEnd: (vm, report) => {
    if (vm.policy.dynamicPamt !== true) return;
    for (let page = 0; page < vm.memory.pages; page++) {
      const uses = vm.pamt.usesOf(page);
      if (uses !== 0)
        return report.violated(`the PAMT page of page ${page} released`, `${uses} pages use it`);
    }
  },
} satisfies VmRule;

/** PAMT pages that are taken from the wrong cache, or from an empty one. */
function watchCaches(vm: Vm, report: Reporter): void {
  /** Per actor: the vCPU whose fault it handles. */
  const running = new Map<number, number>();
  vm.m.clearOnReset(running);
  vm.listeners.push({
    faultBegan: (vcpu) => running.set(vm.m.current, vcpu),
    faultEnded: () => running.delete(vm.m.current),
  });
  vm.pamt.listeners.push({
    taken: (cache, found) => {
      report.exercised();
      const wrong = wrongCache(vm, cache, running.get(vm.m.current));
      if (wrong !== null) report.violated(...wrong);
      else if (!found)
        report.violated(
          `a page left in the PAMT cache of ${nameOf(cache)} when one is needed`,
          'it is empty',
        );
    },
  });
}

/** PAMT pages that are got or put in an RCU callback, put twice, or put too early. */
function watchUses(vm: Vm, report: Reporter, covered: Int32Array): void {
  vm.pamt.listeners.push({
    got: (page) => {
      covered[page] = (covered[page] ?? 0) + 1;
      notInCallback(vm, (seen) =>
        report.violated('no PAMT page is taken in an RCU callback', seen),
      );
    },
    put: (page) => {
      notInCallback(vm, (seen) =>
        report.violated('no PAMT page is released in an RCU callback', seen),
      );
      const left = (covered[page] ?? 0) - 1;
      covered[page] = left;
      const type = vm.tdx.pamt.type(page, 0);
      if (left < 0) report.violated(`page ${page} has a PAMT page to release`, 'it has none');
      else if (left === 0 && type !== NDA) {
        report.violated(
          `page ${page} returned by the module before its PAMT page is released`,
          pageTypeName(type),
        );
      }
    },
  });
}

/** Pages of the module whose ranges have a PAMT page. */
const pagesInUse = (vm: Vm): number[] =>
  Array.from({ length: vm.memory.pages }, (_, page) => page).filter(
    (page) => vm.pamt.usesOf(page) > 0 && vm.tdx.pamt.type(page, 0) !== NDA,
  );

/** The module has the PAMT pages of the range of `page`, if it needs any. */
const isInstalled = (vm: Vm, page: number): boolean =>
  vm.pamt.calls === null || vm.tdx.pamt.isNode(page, 1);

/** The 4K page that a call passes to the module, or -1. */
const pagePassed = (vm: Vm, call: Call): number =>
  PASSES_PAGE.has(call.name) && !(call.name === 'TDH.MEM.PAGE.AUG' && levelOfCall(call) > 0)
    ? call.in.r8 / PAGE_BYTES - vm.tdx.platform.tdmrBase
    : -1;

/** The small pages that a large one was split into, as the new table holds them. */
const smallPagesOf = (vm: Vm, call: Call): number[] =>
  Array.from({ length: vm.mirror.fanout }, (_, i) =>
    pageOf(vm.m.peek(vm.memory.word(call.page, i))),
  );

const nameOf = (cache: PamtCache): string => (cache === VM_CACHE ? 'the VM' : `vcpu${cache}`);

/** The current actor must not use the cache: [expected, seen], or null. */
function wrongCache(
  vm: Vm,
  cache: PamtCache,
  running: number | undefined,
): [string, string] | null {
  if (cache === VM_CACHE) {
    if (vm.pamt.lock.holds(vm.m.current)) return null;
    return [
      "the VM's PAMT cache is used under its lock",
      `${actorName(vm.m, vm.m.current)} does not hold it`,
    ];
  }
  if (running === cache) return null;
  const seen = running === undefined ? 'no vCPU runs there' : `vcpu${running} runs there`;
  return [`the PAMT cache of vcpu${cache} is used by its own thread`, seen];
}

function notInCallback(vm: Vm, broken: (seen: string) => void): void {
  if (vm.rcu.isCallback(vm.m.current)) broken(`${actorName(vm.m, vm.m.current)} does`);
}
