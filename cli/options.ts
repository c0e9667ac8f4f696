/** The options that several commands share: their flags, help texts and parsers. */
import { InvalidArgumentError, Option } from 'commander';
import { treeOf, TREE_LIMITS, type Tree } from '../impl/vm/size.ts';
import { NEWEST_VERSIONS } from '../spec/tdx/versions/index.ts';

/** Parsed values of the shared options. A command takes those that it declares. */
export interface SharedOptions {
  readonly json?: boolean;
  readonly limit: number;
  /** Name or file of a module. */
  readonly module: string;
  readonly seed?: number;
  readonly runs?: number;
  /** Milliseconds. */
  readonly time?: number;
  /** Names of rules, by id or file. */
  readonly rules?: readonly string[];
  readonly emitTrace?: string;
  readonly levels?: number;
  readonly fanout?: number;
}

const MAX_SEED = 2 ** 32 - 1;

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** Returns the milliseconds of a duration such as `500ms`, `30s`, `5m`, `2h`. */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = UNITS.get(unit ?? '');
  if (digits === undefined || factor === undefined) {
    throw new InvalidArgumentError('Give a time such as 30s, 5m or 2h.');
  }
  return Number(digits) * factor;
}

/**
 * Returns a function that returns true once `time` milliseconds have passed from now, and always
 * false without a time. The clock is here because the specifications have none.
 */
export function deadline(time: number | undefined): () => boolean {
  if (time === undefined) return () => false;
  const end = performance.now() + time;
  return () => performance.now() >= end;
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** `--json`: one object on stdout instead of text. */
export const jsonOption = (): Option =>
  new Option('--json', 'print one JSON object instead of text');

/** `--limit`: maximum number of results to show. */
export const limitOption = (what: string, byDefault: number): Option =>
  new Option('--limit <n>', `maximum number of ${what} to show`)
    .argParser(whole(0, 1_000_000))
    .default(byDefault);

const MODULE = '--module <version>';

/** `--module`: the TDX module. */
export const moduleOption = (): Option =>
  new Option(MODULE, 'version of the TDX module, or a file that exports one').default(
    NEWEST_VERSIONS[0],
  );

/** `--module` of commands that judge recordings, which name their module. */
export const recordedModuleOption = (): Option =>
  new Option(
    MODULE,
    'version to judge by, or a file that exports one, instead of the one that the recording names',
  );

/** `--levels`: height of the tree of page tables. */
export const levelsOption = (): Option =>
  new Option('--levels <n>', 'levels of the tree of page tables, 3 to 5 (default: 3)').argParser(
    whole(...TREE_LIMITS.levels),
  );

/** `--fanout`: entries of a page table. */
export const fanoutOption = (): Option =>
  new Option('--fanout <n>', 'entries of a page table, 2 to 4 (default: 2)').argParser(
    whole(...TREE_LIMITS.fanout),
  );

/** The tree that the options name, or null if they name none. */
export function chosenTree({
  levels,
  fanout,
}: Pick<SharedOptions, 'levels' | 'fanout'>): Tree | null {
  if (levels === undefined && fanout === undefined) return null;
  return treeOf({
    ...(levels === undefined ? {} : { levels }),
    ...(fanout === undefined ? {} : { fanout }),
  });
}

/** `--seed`: seed of the random choices. */
export const seedOption = (): Option =>
  new Option(
    '--seed <n>',
    'seed of the random choices; the same seed gives the same run',
  ).argParser(whole(0, MAX_SEED));

/** `--runs`: number of scenarios. */
export const runsOption = (): Option =>
  new Option('--runs <n>', 'number of scenarios to generate').argParser(whole(1, MAX_SEED));

/** `--time`: time limit. */
export const timeOption = (): Option =>
  new Option('--time <duration>', 'time limit, e.g. 30s, 5m, 2h').argParser(parseDuration);

/** `--property` and `--rule` mean the same: both append to one value, `rules`. */
class RulesOption extends Option {
  override attributeName(): string {
    return 'rules';
  }
}

const RULES_OR_FILES = 'rules to check, by id, or files of further rules; separated by commas';

/** `--property`: rules to check. */
export const propertyOption = (what = RULES_OR_FILES): Option =>
  new RulesOption('--property <names>', what).argParser(added);

/** `--rule`: the same as `--property`. */
export const ruleOption = (): Option =>
  new RulesOption('--rule <names>', 'the same as --property').argParser(added);

/** Appends a list to those of earlier flags. */
function added(text: string, earlier: readonly string[] = []): readonly string[] {
  const names = list(text);
  if (names.length === 0) throw new InvalidArgumentError('Name a rule, such as S01 or K20.');
  return [...earlier, ...names];
}

/** `--emit-trace`: file for the trace of a run. */
export const emitTraceOption = (what: string): Option =>
  new Option(
    '--emit-trace <file>',
    `write ${what} as a trace for \`sept trace\`; gzipped if the name ends in .gz; - is ` +
      'standard output, and the report then goes to stderr',
  );
