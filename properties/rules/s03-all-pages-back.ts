import { HKID_FREE } from '../../spec/tdx/keys.ts';
import { NDA, pageTypeName } from '../../spec/tdx/pamt.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S03',
  level: 'required',
  statement:
    'After teardown of the VM the module owns none of its pages, no kernel page is leaked, and ' +
    'the HKID is free.',
  source: 'docs/module-notes.md#life-cycle; see K35, K51 and K62',
  intent:
    'A page that the module keeps, or an HKID that stays assigned, is lost until the next reboot.',
  hint:
    'Check that teardown removes every leaf, reclaims and frees every table and control page, ' +
    'and frees the HKID.',
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
    if (hkid !== HKID_FREE) report.violated('the HKID free', 'it is still assigned');
  },
} satisfies VmRule;
