/**
 * The fields of a module version, compared with those of the shipped ones: which there are, and the
 * kinds of values that each can have.
 */
import { EXCLUSIVE, SHARED } from '../spec/tdx/locks.ts';
import { kindOf, meantBy } from './members.ts';

/** A value that is replaced as a whole. */
type Whole =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | readonly unknown[]
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ((...given: never[]) => unknown);

/** The fields of an object that differ, and those of the objects in it. */
export type Part<T> = T extends Whole ? T : { readonly [Key in keyof T]?: Part<T[Key]> };

type Fields = Readonly<Record<string, unknown>>;
type Refuse = (problem: string) => never;

/** Whether a value is an object whose fields can be replaced one by one. */
const isPlain = (value: unknown): value is Fields =>
  typeof value === 'object' &&
  value !== null &&
  (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null);

/** Whether an object has every field that all of `models` have. */
export const isComplete = (own: Fields, models: readonly object[]): boolean =>
  requiredOf(models).every((key) => key in own);

/** The fields that all models have. */
const requiredOf = ([first = {}, ...others]: readonly object[]): string[] =>
  Object.keys(first).filter((key) => others.every((model) => key in model));

/**
 * `base` with the fields of `own`. A field that no model has, or of a kind that it has in no model,
 * is refused. `functions`: those that may have a row in the lock table besides the models'.
 */
export const withFields = <Base extends object>(
  base: Base,
  own: Fields,
  models: readonly object[],
  functions: readonly string[],
  refuse: Refuse,
): Base => merged('', base, own, { models, functions, refuse }) as Base; // fields of the same kinds

/** What the fields at one place are compared with. */
interface Comparison {
  readonly models: readonly object[];
  readonly functions: readonly string[];
  readonly refuse: Refuse;
}

function merged(path: string, base: object, own: Fields, comparison: Comparison): Fields {
  const { models, functions, refuse } = comparison;
  const known = new Set([base, ...models].flatMap((model) => Object.keys(model)));
  if (path === ROWS) for (const name of functions) known.add(name);
  const inherited = new Map<string, unknown>(Object.entries(base));
  const changed = Object.entries(own).map(([key, value]): [string, unknown] => {
    const at = path === '' ? key : `${path}.${key}`;
    if (!known.has(key)) refuse(unknownField(path, key, known));
    const values = valuesOf(path, key, [base, ...models]);
    const problem = wrongValue(key, value, values);
    if (problem !== null) refuse(`${at} ${problem}`);
    if (!isPlain(value)) return [key, value];
    const before = inherited.get(key);
    const within = { ...comparison, models: values.filter(isPlain) };
    return [key, merged(at, isPlain(before) ? before : {}, value, within)];
  });
  // of an object that is complete, what is absent is meant to be
  const all = { ...(isComplete(own, models) ? {} : base), ...Object.fromEntries(changed) };
  const lacking = requiredOf(models).filter((key) => !(key in all));
  if (lacking.length > 0) refuse(`${path} lacks ${lacking.join(', ')}`);
  return all;
}

/** The lock table: what one row can be, every row can. */
const ROWS = 'septLocks';

/** The values of a field in the models. */
const valuesOf = (path: string, key: string, models: readonly object[]): unknown[] =>
  models.flatMap((model) =>
    path === ROWS
      ? Object.values(model)
      : Object.entries(model).flatMap(([name, value]) => (name === key ? [value] : [])),
  );

function unknownField(path: string, key: string, known: Iterable<string>): string {
  const meant = meantBy(key, known);
  const what = path === ROWS ? 'row' : 'field';
  return (
    `unknown ${what} "${path === '' ? key : `${path}.${key}`}"` +
    (meant === undefined ? '' : `; did you mean "${meant}"?`)
  );
}

/** Names are free; other texts are among those of the models. */
const NAMES: readonly string[] = ['name', 'family'];
/** The modes of the tree lock: a shipped version need not have each. */
const MODES: readonly unknown[] = [SHARED, EXCLUSIVE, null];

/** What is wrong with the value of a field that has `values` elsewhere, or null. */
function wrongValue(key: string, value: unknown, values: readonly unknown[]): string | null {
  if (key === 'tree')
    return MODES.includes(value) ? null : `is ${text(value)}, not SHARED, EXCLUSIVE or null`;
  const kinds = [...new Set(values.map(kindOf))];
  if (!kinds.includes(kindOf(value))) return `is ${kindOf(value)}, not ${kinds.join(' or ')}`;
  if (typeof value !== 'string' || NAMES.includes(key) || values.includes(value)) return null;
  const meant = meantBy(
    value,
    values.filter((other) => typeof other === 'string'),
  );
  return meant === undefined ? null : `is "${value}"; did you mean "${meant}"?`;
}

const text = (value: unknown): string =>
  typeof value === 'number'
    ? String(value)
    : typeof value === 'string'
      ? `"${value}"`
      : kindOf(value);
