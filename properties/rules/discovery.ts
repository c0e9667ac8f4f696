/**
 * Finds the rules about a VM by their files. A file in properties/rules/ whose name begins with an
 * id has one rule as its default export, or a monitor for TDs of a rule of spec/kvm/rules. A file
 * in properties/ itself is found when it has a default export.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearly } from '../../impl/did-you-mean.ts';
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { FAULTS } from '../../spec/machine/faults.ts';
import { compareIds, type Level, type RuleText } from '../../spec/machine/rule.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import type { VmRule } from './rule.ts';

/** No rule, or a rule with an id that another has. The message is one line: what, where. */
export class NoRule extends Error {
  override readonly name = 'NoRule';
}

/** A rule and the file that it is from. */
interface Found<Kind extends RuleText = VmRule> {
  readonly rule: Kind;
  readonly file: string;
}

/** Rules are TypeScript in a clone, and compiled in a package. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Modules of `folder`, in order of their names. */
const modulesIn = (folder: URL): URL[] =>
  readdirSync(folder)
    .toSorted()
    .filter((name) => name.endsWith(EXTENSION) && !/\.(d|test)\.ts$/.test(name))
    .map((name) => new URL(name, folder));

const hasDefault = (file: URL): boolean =>
  /^export (default\b|\{[^}]*\bas default\b)/m.test(readFileSync(file, 'utf8'));

/** The id with which a file's name begins, e.g. `k43-mirror-private-only.ts`. */
const ID_FIRST = /^([a-z]+)(\d+)(?:-[a-z\d-]+)?\.(?:ts|js)$/;

/** Imports every file that has a rule. Returns the rules in order of their ids. @throws NoRule */
export async function discoverRules(properties: URL): Promise<readonly VmRule[]> {
  const named = modulesIn(new URL('rules/', properties)).filter((url) => {
    if (ID_FIRST.test(nameOf(url))) return true;
    if (hasDefault(url))
      throw new NoRule(
        `${fileURLToPath(url)} has a default export, but its name does not begin with ` +
          "a rule's id, as k43-mirror-private-only.ts does; rename it",
      );
    return false;
  });
  const others = modulesIn(properties).filter(hasDefault);
  const [inRules, inProperties] = [
    await Promise.all(named.map(ruleNamedByFile)),
    await Promise.all(others.map(async (url) => rulesIn(fileURLToPath(url), [await load(url)]))),
  ];
  const monitors = inRules.filter(({ isMonitor }) => isMonitor);
  const rules = [...inRules.filter(({ isMonitor }) => !isMonitor), ...inProperties.flat()];
  return [...unique(monitors, []), ...unique(rules, ELSEWHERE)]
    .map(({ rule }) => rule)
    .toSorted((a, b) => compareIds(a.id, b.id));
}

const nameOf = (url: URL): string => basename(fileURLToPath(url));

/** The default export of a module, or undefined. */
async function load(url: URL): Promise<unknown> {
  const loaded: unknown = await settled(import(/* @vite-ignore */ url.href), fileURLToPath(url));
  return typeof loaded === 'object' && loaded !== null && 'default' in loaded
    ? loaded.default
    : undefined;
}

/** The one rule of a file whose name begins with its id. @throws NoRule */
async function ruleNamedByFile(url: URL): Promise<Found & { readonly isMonitor: boolean }> {
  const file = fileURLToPath(url);
  const exported = await load(url);
  const text = textOfMonitor(exported);
  const [found, second] = rulesIn(file, [withText(text, exported)]);
  if (found === undefined || second !== undefined)
    throw new NoRule(`${file} exports several rules: give each a file of its own`);
  const [, letters = '', digits] = ID_FIRST.exec(nameOf(url)) ?? [];
  const named = `${letters.toUpperCase()}${digits}`;
  if (compareIds(named, found.rule.id) !== 0)
    throw new NoRule(
      `${file} exports rule ${found.rule.id}, but its name begins with ${named}; rename it`,
    );
  return { ...found, isMonitor: text !== undefined };
}

/** The rule of spec/kvm/rules for which an object without a statement is a monitor. */
function textOfMonitor(value: unknown): RuleText | undefined {
  if (typeof value !== 'object' || value === null || 'statement' in value) return undefined;
  return 'id' in value ? KVM_RULES.find(({ id }) => id === value.id) : undefined;
}

/** A monitor with the text of its rule. */
function withText(text: RuleText | undefined, value: unknown): unknown {
  if (text === undefined || typeof value !== 'object') return value;
  const { id, statement, source, intent, hint, level, versions } = text;
  return { id, statement, source, intent, hint, level, versions, ...value };
}

/** Rules of the other judges: their ids are taken. */
const ELSEWHERE: readonly Found<RuleText>[] = [
  ...TDX_RULES.map((rule) => ({ rule, file: 'spec/tdx/rules/' })),
  ...KVM_RULES.map((rule) => ({ rule, file: 'spec/kvm/rules/' })),
  ...FAULTS.map((rule) => ({ rule, file: 'spec/machine/faults.ts' })),
];

/** Rules once each. @throws NoRule when two have one id, or when an id is `taken` */
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

const TIME_LIMIT_MS = 20_000;

/** `loading`, with a time limit: a file may wait for a file that waits for it. @throws NoRule */
export async function settled<T>(loading: Promise<T>, file: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const seconds = TIME_LIMIT_MS / 1000;
      reject(new NoRule(`${file} did not finish loading within ${seconds} s (top-level await?)`));
    }, TIME_LIMIT_MS);
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
const OPTIONAL = ['intent', 'hint', 'versions', 'faults', 'finding', 'reason', 'vms'];
const KNOWN = [...TEXTS, ...CHECKS, ...OPTIONAL];

const isRule = (value: unknown): value is VmRule =>
  typeof value === 'object' && value !== null && problemOf(value) === null;

/** The reason why an object is no rule; null when it is one. */
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
    if (meant !== undefined) return `${of}unknown member "${key}"; did you mean "${meant}"?`;
  }
  return null;
}
