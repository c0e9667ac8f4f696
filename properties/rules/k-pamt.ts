/** K68: the metadata pages of a module that wants them one by one. */
import type { Vm } from '../../impl/vm/vm.ts';
import { VM_CACHE, type PamtCache } from '../../spec/kvm/dynamic-pamt.ts';
import { actorName } from '../../spec/machine/faults.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { pageOf } from '../../spec/tdx/entry.ts';
import { NDA, pageTypeName } from '../../spec/tdx/pamt.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';

/** Calls that give a 4 KiB page to the module, in R8. */
const GIVES: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.DEMOTE',
]);

const K68: VmRule = {
  id: 'K68',
  level: 'required',
  statement:
    "A page goes to the module only with its PAMT page, found in the running vCPU's cache or, under its lock, " +
    "in the VM's; it is given back once the module has let go.",
  source: 'KVM rules K68; dynamic PAMT series v6, patch 9/11 (May 2026); huge page RFC v2',
  versions: ['*'],
  watch: (vm, report) => {
    if (vm.policy.dynamicPamt !== true) return;
    /**
     * Per page: how often its PAMT page was got for it; two faults on a GFN both do, and one of
     * them puts it back.
     */
    const covered = new Int32Array(vm.memory.pages);
    /** Per actor: the vCPU whose fault it handles. */
    const running = new Map<number, number>();
    const atFirst = pagesIn(vm);
    vm.m.onReset(() => {
      covered.fill(0);
      for (const page of atFirst) covered[page] = 1;
    });
    vm.m.clearOnReset(running);
    vm.listeners.push({
      faultBegan: (vcpu) => running.set(vm.m.current, vcpu),
      faultEnded: () => running.delete(vm.m.current),
    });
    vm.pamt.listeners.push({
      taken: (cache, found) => {
        report.exercised();
        const wrong = whoseCache(vm, cache, running.get(vm.m.current));
        if (wrong !== null) report.violated(...wrong);
        else if (!found)
          report.violated(
            `a page left in the PAMT cache of ${nameOf(cache)} when one is needed`,
            'it is empty',
          );
      },
      got: (page) => {
        covered[page] = (covered[page] ?? 0) + 1;
        notInCallback(vm, (seen) =>
          report.violated('no PAMT page is taken in an RCU callback', seen),
        );
      },
      put: (page) => {
        notInCallback(vm, (seen) =>
          report.violated('no PAMT page is given back in an RCU callback', seen),
        );
        const left = (covered[page] ?? 0) - 1;
        covered[page] = left;
        const type = vm.tdx.pamt.type(page, 0);
        if (left < 0) report.violated(`page ${page} has a PAMT page to give back`, 'it has none');
        else if (left === 0 && type !== NDA) {
          report.violated(
            `the module has let go of page ${page} before its PAMT page goes`,
            pageTypeName(type),
          );
        }
      },
    });
    vm.tdx.listeners.push({
      began: (call) => {
        const page = pageGiven(vm, call);
        if (page < 0 || (covered[page] ?? 0) > 0) return;
        report.violated(`page ${page} has its PAMT page before ${call.name}`, 'it has none');
      },
      ended: (call, status) => {
        if (call.name !== 'TDH.MEM.PAGE.DEMOTE' || status !== SUCCESS) return;
        for (const page of partsOf(vm, call)) {
          if (vm.pamt.usesOf(page) === 0)
            report.violated(`page ${page}, now small, has its PAMT page`, 'it has none');
        }
      },
    });
  },
  atEnd: (vm, report) => {
    if (vm.policy.dynamicPamt !== true) return;
    for (let page = 0; page < vm.memory.pages; page++) {
      const uses = vm.pamt.usesOf(page);
      if (uses !== 0)
        return report.violated(`the PAMT page of page ${page} given back`, `${uses} pages use it`);
    }
  },
};

/** Pages of ranges with a PAMT page that the module has. */
const pagesIn = (vm: Vm): number[] =>
  Array.from({ length: vm.memory.pages }, (_, page) => page).filter(
    (page) => vm.pamt.usesOf(page) > 0 && vm.tdx.pamt.type(page, 0) !== NDA,
  );

/** The 4 KiB page that a call gives to the module, or -1. */
const pageGiven = (vm: Vm, call: Call): number =>
  GIVES.has(call.name) && !(call.name === 'TDH.MEM.PAGE.AUG' && call.in.rcx % 8 > 0)
    ? call.in.r8 / PAGE_BYTES - vm.tdx.platform.tdmrBase
    : -1;

/** The small pages that a large one was split into: what the new table holds. */
const partsOf = (vm: Vm, call: Call): number[] =>
  Array.from({ length: vm.mirror.fanout }, (_, i) =>
    pageOf(vm.m.peek(vm.memory.word(call.page, i))),
  );

const nameOf = (cache: PamtCache): string => (cache === VM_CACHE ? 'the VM' : `vcpu${cache}`);

/** A cache is used by who may use it: [expected, seen], or null. */
function whoseCache(
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

export const PAMT_RULES: readonly VmRule[] = [K68];
export default PAMT_RULES;
