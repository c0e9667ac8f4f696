/** One rule with its judges and the policies that break it. */
import { POLICIES } from '../impl/index.ts';
import { MUTANTS } from '../impl/mutants/index.ts';
import type { CatalogueEntry } from '../properties/checker/reports/catalogue.ts';
import { wrap } from '../properties/checker/reports/report.ts';
import { SYSTEM_RULES } from '../properties/rules/index.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../properties/traces/rules/index.ts';
import { KVM_RULES } from '../spec/kvm/rules/index.ts';
import { FAULTS } from '../spec/machine/faults.ts';
import { TDX_RULES } from '../spec/tdx/rules/index.ts';

type Judge = 'specification' | 'system' | 'traces';

export interface RuleDetails extends CatalogueEntry {
  /** The judges that have a monitor for the rule. */
  readonly judges: readonly Judge[];
  /** Shipped policies and known bugs that are expected to break the rule. */
  readonly brokenBy: { readonly policies: readonly string[]; readonly bugs: readonly string[] };
}

/** Ids of the rules for which a judge has a monitor. */
const MONITORS: Readonly<Record<Judge, ReadonlySet<string>>> = {
  specification: new Set([...FAULTS, ...TDX_RULES, ...KVM_RULES].map(({ id }) => id)),
  system: new Set(SYSTEM_RULES.map(({ id }) => id)),
  traces: new Set([...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS]),
};

const JUDGES: readonly Judge[] = ['specification', 'system', 'traces'];

export const detailsOf = (rule: CatalogueEntry): RuleDetails => ({
  ...rule,
  judges: JUDGES.filter((judge) => MONITORS[judge].has(rule.id)),
  brokenBy: {
    policies: POLICIES.filter(({ breaks }) => breaks.some((breach) => breach.rule === rule.id)).map(
      ({ name }) => name,
    ),
    bugs: MUTANTS.filter(({ breaks }) => breaks.includes(rule.id)).map(({ id }) => id),
  },
});

const INDENT = '     ';

/** A rule as `sept rules ID` prints it. */
export function describeRule(rule: RuleDetails): string {
  const { policies, bugs } = rule.brokenBy;
  const rows: readonly (readonly [label: string, text: string])[] = [
    ['intent', rule.intent ?? ''],
    ['hint', rule.hint ?? ''],
    ['source', rule.source],
    ['not judged', rule.reason ?? ''],
    ['finding', rule.finding === null ? '' : `${rule.finding} (docs/findings.md)`],
    ['module versions', rule.versions.includes('*') ? 'all' : rule.versions.join(', ')],
    ['VMs', rule.vms.join(', ')],
    ['monitors', rule.judges.join(', ')],
    ['policies that break it', policies.join(', ') || 'none'],
    ['known bugs that break it', bugs.join(', ') || 'none'],
  ];
  return [
    ...wrap(`${rule.id} (${rule.level}): ${rule.statement}`, INDENT),
    ...rows
      .filter(([, text]) => text !== '')
      .flatMap(([label, text]) => wrap(`${label}: ${text}`, INDENT)),
  ].join('\n');
}
