/** Rules that a command line names: shipped ones by id, others by file. */
import { existsSync } from 'node:fs';
import { nearly } from '../impl/did-you-mean.ts';
import type { Vm } from '../impl/vm/vm.ts';
import { catalogue } from '../properties/checker/reports/catalogue.ts';
import { rulesIn, unique } from '../properties/rules/discovery.ts';
import { SYSTEM_RULES } from '../properties/rules/index.ts';
import type { Rule } from '../spec/machine/monitor.ts';
import { compareIds } from '../spec/machine/rule.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf } from './load-module.ts';

/** Value of `--property`: ids of the rules to check, and rules from files. */
export interface ChosenRules {
  readonly only?: readonly string[];
  readonly extra?: readonly Rule<Vm>[];
}

/** Finds the rules that `--property` names. @throws UsageError, NoRule */
export async function rulesNamed(names: readonly string[] | undefined): Promise<ChosenRules> {
  if (names === undefined) return {};
  const shipped = catalogue();
  const known = shipped.map(({ id }) => id);
  const ids = names.flatMap((name) => idIn(known, name) ?? []);
  const files = names.filter((name) => idIn(known, name) === undefined);
  const absent = files.find((name) => !existsSync(name));
  if (absent !== undefined) {
    throw new UsageError(
      `there is no rule and no file "${absent}"${didYouMean(known, absent)}; ` +
        '`sept rules` lists the rules',
    );
  }
  const found = await Promise.all(
    files.map(async (file) => rulesIn(file, [await defaultExportOf(file)])),
  );
  const chosen = found.flat().map(({ rule }) => rule);
  const taken = shipped.map((rule) => ({ rule, file: 'the shipped rules' }));
  const extra = unique(
    found.flat().filter(({ rule }) => !isShipped(rule)),
    taken,
  ).map(({ rule }) => rule);
  const isChoice = ids.length > 0 || chosen.some(isShipped);
  return { extra, ...(isChoice ? { only: [...ids, ...chosen.map((rule) => rule.id)] } : {}) };
}

/** Returns the id in `known` that `name` means, in any case, with or without zeros: k2, K02. */
export const idIn = (known: readonly string[], name: string): string | undefined =>
  /^[a-z]+\d+$/i.test(name)
    ? known.find((id) => compareIds(id, name.toUpperCase()) === 0)
    : undefined;

/** Maximum number of ids to suggest. */
const SUGGESTIONS = 3;

/** Returns ` (did you mean K20 or K21?)` for ids within one typing error of `name`, or ''. */
export function didYouMean(known: readonly string[], name: string): string {
  const upper = name.toUpperCase();
  const near = known
    .filter((id) => nearly(id, upper))
    .toSorted((a, b) => distance(a, upper) - distance(b, upper))
    .slice(0, SUGGESTIONS);
  return near.length === 0 ? '' : ` (did you mean ${near.join(' or ')}?)`;
}

/** Orders ids: those of the same family first, nearest number first. */
function distance(id: string, name: string): number {
  const difference = Math.abs(Number(id.slice(1)) - Number(name.slice(1)));
  return (id[0] === name[0] ? 0 : 1000) + (Number.isNaN(difference) ? 0 : difference);
}

/** Arguments that name a policy in a replay command, with the files of further rules. */
export const withRules = (
  handle: string,
  { extra = [] }: ChosenRules,
  names: readonly string[] = [],
): string => (extra.length === 0 ? handle : `${handle} --property ${names.join(',')}`);

/** Whether a rule is one of properties/rules: naming its file then chooses the rule. */
const isShipped = (rule: Rule<Vm>): boolean => SYSTEM_RULES.includes(rule);
