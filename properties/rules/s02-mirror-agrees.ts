import type { Vm } from '../../impl/vm/vm.ts';
import { describeSpte, kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import { entryAt } from '../../spec/machine/levels.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import { describeEntry, pageOf, withoutLocks } from '../../spec/tdx/entry.ts';
import { TD } from '../../spec/tdx/td.ts';
import type { VmRule } from './rule.ts';
import { agrees } from './state/entries.ts';
import { tdWord } from './state/td-state.ts';

export default {
  id: 'S02',
  level: 'required',
  statement:
    'When no operation is in flight, the mirror and the Secure EPT agree, and no entry is frozen ' +
    'or blocked.',
  source: 'thread, message 3; see K44, K45 and K47',
  intent:
    'KVM decides by the mirror what to map and zap; where it is wrong, the next SEAMCALL fails.',
  hint:
    'Look for a path that changes one of the two tables only, or that returns after an error ' +
    'without rolling back.',
  versions: ['*'],
  atRest: (vm, report) => {
    report.exercised();
    const root = tdWord(vm, TD.SEPT_ROOT);
    const difference = compareTables(vm, vm.mirror.root, root, vm.mirror.rootLevel, 0);
    if (difference !== null) report.violated(...difference);
  },
} satisfies VmRule;

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
