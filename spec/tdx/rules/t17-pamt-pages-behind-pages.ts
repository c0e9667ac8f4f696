import type { Reporter } from '../../machine/monitor.ts';
import type { TdxModule } from '../module.ts';
import { NDA, pageTypeName } from '../pamt.ts';
import { openCalls } from './open-calls.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T17',
  level: 'required',
  statement:
    'Where PAMT is dynamic, when no call is in flight, each 4K page in use has its entry in the ' +
    'PAMT pages of its range, which counts it, and a PAMT page has no other use.',
  source:
    'Dynamic PAMT series v2, cover (Jun 2025); intel/tdx-module 1.5.25, ' +
    'src/common/memory_handlers/pamt_manager.c: pamt_walk(), pamt_inc_nl_page_count(); ' +
    'not measured',
  intent:
    'A page without an entry has no owner that the module can check, and another user of a PAMT ' +
    'page could write the owners of pages.',
  hint:
    'Compare which function assigned or freed the page with what it checks of the range, and ' +
    'with what it counts.',
  versions: ['dynamicPamt'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    tdx.listeners.push({
      ended: () => {
        if (calls.quiet) inspect(tdx, report);
      },
    });
  },
  atRest: inspect,
} satisfies TdxRule;

function inspect({ pamt, m, geometry }: TdxModule, report: Reporter): void {
  const { pairs } = pamt;
  if (pairs === null) return;
  const span = geometry.span(1);
  for (let range = 0; range < pamt.pages; range += span) {
    const hasPair = pamt.isNode(range, 1);
    let used = 0;
    for (let page = range; page < Math.min(range + span, pamt.pages); page++) {
      const size = pamt.sizeOf(page);
      const type = pamt.type(page, size);
      if (type === NDA) continue;
      report.exercised();
      if (pairs.isPamtPage(page))
        return report.violated(`page ${page} free, as it is a PAMT page`, pageTypeName(type));
      if (size > 0) continue;
      used++;
      if (!hasPair)
        return report.violated(
          `page ${page} free, as its range has no PAMT pages`,
          pageTypeName(type),
        );
    }
    const counted = m.peek(pairs.count(range));
    if (hasPair && counted !== used)
      report.violated(`${used} pages counted in the range of page ${range}`, `${counted} counted`);
  }
}
