import { PerActor } from '../../machine/per-actor.ts';
import { describeSpte, pageOfSpte } from '../spte.ts';
import { gfnNames, rangeBits } from './gfn-sets.ts';
import { leafAt } from './present-entries.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K40',
  level: 'required',
  statement:
    'Converting a GFN invalidates every huge page that could cover it; afterwards no SPTE maps ' +
    'the GFN with its old attribute.',
  source:
    'Linux, commit 9129633d568e; arch/x86/kvm/mmu/mmu.c: kvm_arch_pre_set_memory_attributes()',
  intent:
    'A huge page installed meanwhile would map GFNs of both attributes, and expose private ' +
    'memory or lose shared data.',
  hint:
    'Look at the range of the invalidation: rounded down and up to the huge page at its head and ' +
    'its tail, before the attribute changes.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, invalidation, m, roots, tables } = kvm;
    const begun = new PerActor(m);
    invalidation.listeners.push({
      began: (gfn, pages) => {
        begun.mine |= rangeBits(gfn, pages);
      },
    });
    kvm.listeners.push({
      promised: (what) => {
        if (what === 'convert') begun.mine = 0;
      },
      kept: (what, _asId, gfn) => {
        if (what !== 'convert') return;
        report.exercised();
        const huge = rangeBits(tables.align(gfn, 1), tables.span(1));
        const missed = huge & ~begun.mine;
        if (missed !== 0)
          report.violated(`an invalidation of ${gfnNames(huge)}`, `none of ${gfnNames(missed)}`);
        for (const root of roots.all()) {
          const leaf = roots.asIdOf(root) === 0 ? leafAt(kvm, root, gfn) : 0;
          const isOther =
            leaf !== 0 && attributes.isPrivate(gfn) !== attributes.memory.owns(pageOfSpte(leaf));
          if (isOther)
            report.violated(
              `GFN ${gfn} mapped with its new attribute, if at all`,
              describeSpte(leaf),
            );
        }
      },
    });
  },
} satisfies KvmRule;
