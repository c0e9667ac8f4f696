/** The T rules: what the module guarantees, whatever the VMM does. */
import type { TdxRule } from './rule.ts';
import t01 from './t01-legal-transitions.ts';
import t02 from './t02-entries-reachable.ts';
import t03 from './t03-removed-table-empty.ts';
import t04 from './t04-one-owner.ts';
import t05 from './t05-no-cached-translation-left.ts';
import t06 from './t06-refcount-by-epoch.ts';
import t07 from './t07-module-never-halts.ts';
import t08 from './t08-chldcnt-exact.ts';
import t09 from './t09-locks-exclude.ts';
import t10 from './t10-locks-by-version-table.ts';
import t11 from './t11-busy-has-a-cause.ts';
import t12 from './t12-no-lost-update.ts';
import t13 from './t13-host-priority.ts';
import t14 from './t14-accepted-page-zeroed.ts';
import t15 from './t15-size-mismatch-truthful.ts';
import t16 from './t16-no-debug-access.ts';
import t17 from './t17-pamt-pages-behind-pages.ts';

export const TDX_RULES: readonly TdxRule[] = [
  t01,
  t02,
  t03,
  t04,
  t05,
  t06,
  t07,
  t08,
  t09,
  t10,
  t11,
  t12,
  t13,
  t14,
  t15,
  t16,
  t17,
];
