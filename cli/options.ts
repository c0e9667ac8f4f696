/**
 * The knobs that commands share, each described once: how often, how long, from which seed, for
 * which module version, for which policies and properties.
 */
import { InvalidArgumentError, Option } from 'commander';
import { MODULE_VERSIONS, type ModuleVersion } from '../spec/tdx/versions.ts';

/** What the shared options parse to; a command takes the ones it declares. */
export interface Knobs {
  readonly json?: boolean;
  readonly limit: number;
  readonly module: ModuleVersion;
  readonly seed?: number;
  readonly runs?: number;
  /** Milliseconds. */
  readonly time?: number;
  /** Names of rules, by id or file. */
  readonly rules?: readonly string[];
  readonly emitTrace?: string;
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

/** A duration such as `500ms`, `30s`, `5m`, `2h`, as milliseconds. */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = UNITS.get(unit ?? '');
  if (digits === undefined || factor === undefined) {
    throw new InvalidArgumentError('Give a time such as 30s, 5m or 2h.');
  }
  return Number(digits) * factor;
}

/**
 * Is the time of `--time` over? It runs from now on; without one it never ends. The specifications
 * have no clock.
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

/** `--limit`: how many findings are shown. */
export const limitOption = (what: string, byDefault: number): Option =>
  new Option('--limit <n>', `how many ${what} to show`)
    .argParser(whole(0, 1_000_000))
    .default(byDefault);

/** `--module`: which version of the TDX module. */
export const moduleOption = (): Option =>
  new Option('--module <version>', 'version of the TDX module')
    .choices([...MODULE_VERSIONS])
    .default('1.5');

/** `--seed`: where random choices start. */
export const seedOption = (): Option =>
  new Option('--seed <n>', 'start random choices here; the same seed gives the same run').argParser(
    whole(0, MAX_SEED),
  );

/** `--runs`: how many scenarios. */
export const runsOption = (): Option =>
  new Option('--runs <n>', 'how many scenarios to generate for each property').argParser(
    whole(1, MAX_SEED),
  );

/** `--time`: how long. */
export const timeOption = (): Option =>
  new Option('--time <duration>', 'how long to go on, e.g. 30s, 5m, 2h').argParser(parseDuration);

/** `--property` and `--rule` mean the same: both add to one value, `rules`. */
class RulesOption extends Option {
  override attributeName(): string {
    return 'rules';
  }
}

const RULES_OR_FILES = 'only these rules, by id; a file adds its own; separated by commas';

/** `--property`: the rules to judge by. */
export const propertyOption = (what = RULES_OR_FILES): Option =>
  new RulesOption('--property <names>', what).argParser(added);

/** `--rule`: the same as `--property`. */
export const ruleOption = (): Option =>
  new RulesOption('--rule <names>', 'the same as --property').argParser(added);

/** A list after those that earlier flags gave. */
function added(text: string, earlier: readonly string[] = []): readonly string[] {
  const names = list(text);
  if (names.length === 0) throw new InvalidArgumentError('Name a rule, such as S01 or K20.');
  return [...earlier, ...names];
}

/** `--emit-trace`: write a run down as a kernel would have told it. */
export const emitTraceOption = (what: string): Option =>
  new Option(
    '--emit-trace <file>',
    `write ${what} as a trace that \`sept trace\` reads; gzipped when the name ends in .gz`,
  );
