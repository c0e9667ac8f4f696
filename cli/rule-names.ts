/** Rules that a command line names: shipped ones by id, anybody's by file. */
import { existsSync } from 'node:fs';
import type { Vm } from '../impl/vm/vm.ts';
import { catalogue } from '../properties/checker/reports/catalogue.ts';
import { rulesIn, unique } from '../properties/rules/discovery.ts';
import { SYSTEM_RULES } from '../properties/rules/index.ts';
import type { Rule } from '../spec/machine/monitor.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf } from './load-module.ts';

/** What `--property` asks for: the ids to judge by, and the rules that came from files. */
export interface ChosenRules {
  readonly only?: readonly string[];
  readonly extra?: readonly Rule<Vm>[];
}

/** Resolves the names given to `--property`. @throws UsageError, NoRule */
export async function rulesNamed(names: readonly string[] | undefined): Promise<ChosenRules> {
  if (names === undefined) return {};
  const shipped = catalogue();
  const ids = names.filter((name) => shipped.some((rule) => rule.id === name));
  const files = names.filter((name) => !ids.includes(name));
  const absent = files.find((name) => !existsSync(name));
  if (absent !== undefined) {
    throw new UsageError(
      `there is no rule and no file "${absent}"; \`sept rules\` lists the rules`,
    );
  }
  const found = await Promise.all(
    files.map(async (file) => rulesIn(file, [await defaultExportOf(file)])),
  );
  const chosen = found.flat().map(({ rule }) => rule);
  const taken = shipped.map((rule) => ({ rule, file: 'the rules that are shipped' }));
  const extra = unique(
    found.flat().filter(({ rule }) => !isShipped(rule)),
    taken,
  ).map(({ rule }) => rule);
  const isChoice = ids.length > 0 || chosen.some(isShipped);
  return { extra, ...(isChoice ? { only: [...ids, ...chosen.map((rule) => rule.id)] } : {}) };
}

/**
 * What names a policy in a replay command: with the files of rules that judged it, if there were
 * any.
 */
export const withRules = (
  handle: string,
  { extra = [] }: ChosenRules,
  names: readonly string[] = [],
): string => (extra.length === 0 ? handle : `${handle} --property ${names.join(',')}`);

/** A file in properties/ has been found by itself already: naming it chooses its rules. */
const isShipped = (rule: Rule<Vm>): boolean => SYSTEM_RULES.includes(rule);
