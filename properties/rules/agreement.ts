import type { Vm } from '../../impl/vm/vm.ts';
import { describeSpte, kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import { entryAt } from '../../spec/machine/levels.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import { describeEntry, pageOf, withoutLocks } from '../../spec/tdx/entry.ts';
import { HKID_FREE } from '../../spec/tdx/keys.ts';
import { NDA, pageTypeName } from '../../spec/tdx/pamt.ts';
import { classOf, describeStatus, statusName, SUCCESS } from '../../spec/tdx/status.ts';
import { TD } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';
import { agrees } from './state/entries.ts';

const S01: VmRule = {
  id: 'S01',
  level: 'required',
  statement:
    'Every call of the module succeeds, or fails in a way that its caller has an answer to.',
  source: 'thread, messages 2, 4, 14; K47, K53, K56 (any other error kills the VM)',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      answered: (call, tolerated) => {
        report.exercised();
        if (call.status === SUCCESS || tolerated.includes(classOf(call.status))) return;
        const allowed = ['TDX_SUCCESS', ...tolerated.map((status) => statusName(status))];
        report.violated(
          `${call.name} answers ${allowed.join(' or ')}`,
          describeStatus(call.status),
        );
      },
    });
  },
};

const S02: VmRule = {
  id: 'S02',
  level: 'required',
  statement:
    'When nothing is in flight, the mirror and the Secure EPT say the same, and nothing is frozen or blocked.',
  source: 'thread, message 3; K44, K45, K47',
  versions: ['*'],
  atRest: (vm, report) => {
    report.exercised();
    const root = vm.m.peek(vm.memory.word(vm.tdr, TD.SEPT_ROOT));
    const difference = compareTables(vm, vm.mirror.root, root, vm.mirror.rootLevel, 0);
    if (difference !== null) report.violated(...difference);
  },
};

/** The first entry in which a mirror table and its external twin differ: [mirror, S-EPT]. */
function compareTables(
  vm: Vm,
  table: PageRef,
  external: number,
  level: number,
  gfn: number,
): [string, string] | null {
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const spte = vm.m.peek(vm.pages.word(table, i));
    const entry = withoutLocks(vm.m.peek(vm.memory.word(external, i)));
    const at = gfn + i * vm.mirror.span(level);
    if (!agrees(vm, spte, entry)) {
      return [
        `entry ${entryAt(at, level)} of the Secure EPT as in the mirror, ${describeSpte(spte)}`,
        describeEntry(entry),
      ];
    }
    if (kindOfSpte(spte) !== TABLE) continue;
    const below = compareTables(vm, pageOfSpte(spte), pageOf(entry), level - 1, at);
    if (below !== null) return below;
  }
  return null;
}

const S03: VmRule = {
  id: 'S03',
  level: 'required',
  statement:
    "When the VM is gone, every page is back: none is the module's, none is leaked, the HKID is free.",
  source: 'K35, K51, K62; life-cycle notes §1',
  versions: ['*'],
  atEnd: (vm, report) => {
    report.exercised();
    const { tdx } = vm;
    for (let page = 0; page < vm.memory.pages; page++) {
      const size = tdx.pamt.sizeOf(page);
      const type = tdx.pamt.type(page, size);
      if (type !== NDA)
        return report.violated(
          `page ${page} back with the host`,
          `PAMT says ${pageTypeName(type)}`,
        );
    }
    const leaked = vm.pages.leaks();
    if (leaked.length > 0) {
      return report.violated(
        'every kernel page freed',
        `page ${leaked.join(', ')} still allocated`,
      );
    }
    const hkid = tdx.m.peek(tdx.keys.state(tdx.keys.first + 1));
    if (hkid !== HKID_FREE) report.violated('the HKID free', 'it is still taken');
  },
};

const S10: VmRule = {
  id: 'S10',
  level: 'required',
  statement: 'The host uses a page as its own only when the module has given it back.',
  source: 'K51, K54; module notes §3 (PAGE.REMOVE, RECLAIM)',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      hostTouched: (page) => {
        report.exercised();
        const type = vm.tdx.pamt.type(page, vm.tdx.pamt.sizeOf(page));
        if (type !== NDA)
          report.violated(`page ${page} back with the host`, `PAMT says ${pageTypeName(type)}`);
      },
    });
  },
};

const S11: VmRule = {
  id: 'S11',
  level: 'required',
  statement: 'What the host has asked back, it has got back when nothing is in flight.',
  source: 'K22; P6 (the callback may come later, but it has to come)',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per GFN: how often its page must have been given back, by what was asked so far. */
    const due = new Int32Array(vm.guestMemory.gfns);
    vm.m.onReset(() => due.fill(0));
    vm.listeners.push({
      unmapBegan: (gfn, pages) => {
        for (let at = gfn; at < gfn + pages; at++) {
          if (vm.guestMemory.isBacked(at)) due[at] = vm.guestMemory.timesReturned(at) + 1;
        }
        report.exercised();
      },
      atRest: () => {
        for (const [gfn, times] of due.entries()) {
          if (vm.guestMemory.timesReturned(gfn) >= times) continue;
          const page = vm.guestMemory.pageOf(gfn);
          return report.violated(
            `the host has page ${page} of GFN ${gfn} back, as it asked`,
            'the guest still has it',
          );
        }
      },
    });
  },
};

export const AGREEMENT_RULES: readonly VmRule[] = [S01, S02, S03, S10, S11];
