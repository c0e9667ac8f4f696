/**
 * Rules are found by the files that they are in: every file in properties/rules/ besides index.ts
 * and rule.ts, and every file in properties/ itself that has a default export (nothing else there
 * has one). Nobody keeps a list.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearly } from '../../impl/did-you-mean.ts';
import { FAULTS } from '../../spec/machine/faults.ts';
import type { Level, RuleText } from '../../spec/machine/rule.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import type { VmRule } from './rule.ts';

/**
 * Something that is no rule, or a rule that there is already; the message is one line that says
 * which and where.
 */
export class NoRule extends Error {
  override readonly name = 'NoRule';
}

/** A rule and the file that it is from. */
interface Found<Kind extends RuleText = VmRule> {
  readonly rule: Kind;
  readonly file: string;
}

/** In a clone rules are TypeScript, in a package what became of it. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Files of `folder` that may hold rules, in order of their names. */
const sources = (folder: URL): URL[] =>
  readdirSync(folder)
    .toSorted()
    .filter(
      (name) =>
        name.endsWith(EXTENSION) &&
        !/\.(d|test)\.ts$/.test(name) &&
        !NOT_RULES.has(basename(name, EXTENSION)),
    )
    .map((name) => new URL(name, folder));

const NOT_RULES = new Set(['index', 'rule', 'discovery']);

const hasDefault = (file: URL): boolean =>
  /^export (default\b|\{[^}]*\bas default\b)/m.test(readFileSync(file, 'utf8'));

/** Imports every file that holds rules, and sorts those by id. @throws NoRule */
export async function discoverRules(properties: URL): Promise<readonly VmRule[]> {
  const files = [
    ...sources(new URL('rules/', properties)),
    ...sources(properties).filter(hasDefault),
  ];
  const found = await Promise.all(
    files.map(async (url) => {
      const file = fileURLToPath(url);
      const loaded: unknown = await settled(import(/* @vite-ignore */ url.href), file);
      return rulesIn(
        file,
        typeof loaded === 'object' && loaded !== null ? Object.values(loaded) : [],
      );
    }),
  );
  return unique(found.flat(), ELSEWHERE)
    .map(({ rule }) => rule)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Rules that are not found but listed: their ids are taken. */
const ELSEWHERE: readonly Found<RuleText>[] = [
  ...TDX_RULES.map((rule) => ({ rule, file: 'spec/tdx/rules/' })),
  ...FAULTS.map((rule) => ({ rule, file: 'spec/machine/faults.ts' })),
];

/** Rules once each. @throws NoRule when two have one id, or one that is `taken` */
export function unique(
  found: readonly Found[],
  taken: readonly Found<RuleText>[],
): readonly Found[] {
  const byId = new Map(taken.map((one) => [one.rule.id, one]));
  return found.filter((one) => {
    const other = byId.get(one.rule.id);
    byId.set(one.rule.id, one);
    if (other === undefined || other.rule === one.rule) return other === undefined;
    throw new NoRule(
      `rule ${one.rule.id} is in ${other.file} and in ${one.file}: give one of them another id`,
    );
  });
}

const PATIENCE_MS = 20_000;

/**
 * `loading`, unless it takes for ever: a file that waits for what waits for it never ends. @throws
 * NoRule
 */
export async function settled<T>(loading: Promise<T>, file: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new NoRule(`${file} does not end to load: what does it wait for?`)),
      PATIENCE_MS,
    );
  });
  return await Promise.race([loading, late]).finally(() => clearTimeout(timer));
}

/**
 * The rules among the values that a file exports, by themselves or in lists. @throws NoRule when
 * there are none
 */
export function rulesIn(file: string, values: readonly unknown[]): Found[] {
  const candidates = values.flat().filter((value) => typeof value === 'object' && value !== null);
  if (candidates.length === 0) {
    throw new NoRule(
      `${file} exports no rule: export one as default, with ${TEXTS.join(', ')} and versions`,
    );
  }
  return candidates.map((rule) => {
    const problem = problemOf(rule);
    if (problem !== null || !isRule(rule)) throw new NoRule(`${file} exports no rule: ${problem}`);
    return { rule, file };
  });
}

const LEVELS: readonly Level[] = ['required', 'stochastic', 'untested'];
const TEXTS = ['id', 'level', 'statement', 'source'];
const CHECKS = ['watch', 'atRest', 'atEnd'];
const KNOWN = [...TEXTS, ...CHECKS, 'versions', 'faults', 'finding', 'reason'];

const isRule = (value: unknown): value is VmRule =>
  typeof value === 'object' && value !== null && problemOf(value) === null;

/** Why an object is no rule; null when it is one. */
function problemOf(value: object): string | null {
  const fields = new Map<string, unknown>(Object.entries(value));
  const id = fields.get('id');
  const of = typeof id === 'string' ? `${id}: ` : '';
  const missing = TEXTS.filter((key) => typeof fields.get(key) !== 'string');
  if (missing.length > 0) return `${of}it lacks ${missing.join(', ')}`;
  if (!LEVELS.some((level) => level === fields.get('level')))
    return `${of}level is none of ${LEVELS.join(', ')}`;
  const versions = fields.get('versions');
  if (!Array.isArray(versions)) return `${of}it lacks versions, e.g. ['*'] for all`;
  for (const [key, field] of fields) {
    if (CHECKS.includes(key) && typeof field !== 'function') return `${of}${key} is no function`;
    const meant = KNOWN.includes(key) ? undefined : KNOWN.find((known) => nearly(key, known));
    if (meant !== undefined) return `${of}there is no ${key}; is ${meant} meant?`;
  }
  return null;
}
