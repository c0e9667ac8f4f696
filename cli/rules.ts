/** Rules that a command line names: shipped ones by id, anybody's by file. */
import { existsSync } from 'node:fs';
import type { Vm } from '../impl/vm.ts';
import { catalogue } from '../properties/reports/catalogue.ts';
import type { Rule } from '../spec/machine/monitor.ts';
import { UsageError } from './errors.ts';
import { defaultExportOf } from './loading.ts';

/** What `--property` asks for: the ids to judge by, and the rules that came from files. */
export interface ChosenRules {
  readonly only?: readonly string[];
  readonly extra?: readonly Rule<Vm>[];
}

/** Resolves the names given to `--property`. @throws UsageError */
export async function rulesNamed(names: readonly string[] | undefined): Promise<ChosenRules> {
  if (names === undefined) return {};
  const known = new Set(catalogue().map((rule) => rule.id));
  const extra: Rule<Vm>[] = [];
  const ids: string[] = [];
  for (const name of names) {
    if (known.has(name)) ids.push(name);
    else if (existsSync(name)) extra.push(...rulesIn(name, await defaultExportOf(name)));
    else throw new UsageError(`there is no rule and no file "${name}"; \`sept rules\` lists the rules`);
  }
  return { extra, ...(ids.length > 0 ? { only: [...ids, ...extra.map((rule) => rule.id)] } : {}) };
}

function rulesIn(file: string, value: unknown): Rule<Vm>[] {
  const rules: unknown[] = Array.isArray(value) ? value : [value];
  if (!rules.every(isRule)) {
    throw new UsageError(
      `${file} exports no rule: export one as default, with id, level, statement, source and versions`);
  }
  return rules;
}

const TEXTS = ['id', 'level', 'statement', 'source'];

function isRule(value: unknown): value is Rule<Vm> {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  return TEXTS.every((key) => typeof fields.get(key) === 'string') && Array.isArray(fields.get('versions'));
}
