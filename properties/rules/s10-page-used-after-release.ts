import { NDA, pageTypeName } from '../../spec/tdx/pamt.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S10',
  level: 'required',
  statement: 'The host uses a page only after the module has returned it.',
  source:
    'docs/module-notes.md#release-order (PAGE.REMOVE), ' +
    'docs/module-notes.md#life-cycle (RECLAIM); see K51 and K54',
  intent: 'A host write to a page that the module still owns ends in a machine check.',
  hint: 'Find what frees the page in the report: PAGE.REMOVE or RECLAIM has to succeed before it.',
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
} satisfies VmRule;
