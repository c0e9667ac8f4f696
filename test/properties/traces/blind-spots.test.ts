/** The tables of rules and violations that traces do not show are complete and up to date. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SYSTEM_RULES } from '../../../properties/rules/index.ts';
import {
  BLIND_SPOTS,
  MAY_SHOW_LATER,
  NO_MONITOR,
  SHOWN_EARLIER,
  SHOWN_LATER,
  whyUnseen,
} from '../../../properties/traces/blind-spots.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { KVM_RULES } from '../../../spec/kvm/rules/index.ts';
import { pathOf, textOf } from '../../support/repository.ts';

const MONITORED = [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS];

/** Ids of all K rules, in order; K2 and K42 are watched in VMs and in TDs. */
const K_RULES = [
  ...new Set([...KVM_RULES, ...SYSTEM_RULES].map(({ id }) => id).filter((id) => /^K\d/.test(id))),
].toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

test('every K rule has a monitor of traces, or a row that says why it has none', () => {
  const unmonitored = NO_MONITOR.map(({ rule }) => rule);

  expect(K_RULES.filter((id) => !MONITORED.includes(id))).toEqual(unmonitored);
  expect(new Set(unmonitored).size).toBe(unmonitored.length);
});

test('a monitor of traces is about a K rule', () => {
  expect(MONITORED.filter((id) => !K_RULES.includes(id))).toEqual([]);
});

/** Source text with strings joined that are added over two lines. */
const joined = (source: string): string => source.replaceAll(/(['`]) \+\n\s*\1/g, '');

/** The texts in the files of a rule, with 0 for what is inserted in them. */
function textsOf(id: string): string[] {
  const slug = `k${id.slice(1).padStart(2, '0')}-`;
  const paths = ['spec/kvm/rules', 'properties/rules'].flatMap((folder) =>
    readdirSync(pathOf(folder))
      .filter((name) => name.startsWith(slug))
      .map((name) => `${folder}/${name}`),
  );
  return paths.flatMap((path) =>
    [...joined(textOf(path)).matchAll(/'([^'\n]*)'|"([^"\n]*)"|`((?:\$\{[^`]*?\}|[^`$])*)`/g)].map(
      ([, single, double, template]) =>
        single ?? double ?? (template ?? '').replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '0'),
    ),
  );
}

test.each([...BLIND_SPOTS, ...SHOWN_LATER, ...MAY_SHOW_LATER, ...SHOWN_EARLIER])(
  'the row of $rule about $says matches a text of its rule',
  ({ rule, says }) => {
    expect(textsOf(rule).filter((text) => says.test(text))).not.toEqual([]);
  },
);

test.each([
  ['K42', 'SRCU read sections have no probes'],
  ['S01', 'it judges K rules only'],
])('a violation of %s, which no trace is judged by, has a reason', (rule, why) => {
  expect(whyUnseen({ rule, step: 0, actor: 0, expected: '', seen: '' })).toBe(why);
});
