/**
 * Modules from outside: a module is a shipped version with some fields and functions replaced. The
 * shipped versions are the list of the fields, lock rows and kinds of values that exist; a value
 * that cannot be a version is refused in one line.
 */
import type { InterfaceFunction } from '../spec/tdx/module.ts';
import {
  MODULE_NAMES,
  SPECIFIED,
  versionData,
  type ModuleVersion,
  type SeptLocking,
  type VersionData,
} from '../spec/tdx/versions/index.ts';
import { kindOf, meantBy, membersOf } from './members.ts';
import { functionsIn } from './module-functions.ts';
import { isComplete, withFields, type Part } from './version-fields.ts';

/** A module as its author writes it: a name, and what differs from the base. */
export interface ModuleChanges extends Omit<Part<VersionData>, 'name' | 'septLocks' | 'functions'> {
  /** In kebab-case; no shipped version has it. */
  readonly name: string;
  /** Rows, or parts of rows, that differ, and the rows of new functions. */
  readonly septLocks?: Part<VersionData['septLocks']> &
    Readonly<Record<FunctionName, Part<SeptLocking>>>;
  /** Functions that replace those of the same names, or are new. */
  readonly functions?: InterfaceFunction | readonly InterfaceFunction[];
}

/** Name of a function, of those that have a row or of others. */
type FunctionName = `TDH.${string}` | `TDG.${string}`;

/** A value is not a module; the message is one line that says why. */
export class NoModule extends Error {
  override readonly name = 'NoModule';
}

/**
 * Returns the version `base` with `changes`. A row of the lock table, or another object in a
 * version, may be given in part: the rest of it is the base's.
 *
 *     export default defineModule('1.5.05', {
 *       name: 'shared-block',
 *       septLocks: { 'TDH.MEM.RANGE.BLOCK': { tree: SHARED } },
 *     });
 *
 * @throws NoModule
 */
export const defineModule = (base: ModuleVersion, changes: ModuleChanges): VersionData =>
  moduleFrom(changes, base);

/**
 * {@link defineModule} of a value of unknown type. A version that is complete needs no base; the
 * base of another is the newest version.
 *
 * @throws NoModule
 */
export function moduleFrom(value: unknown, base?: ModuleVersion): VersionData {
  const shipped = SPECIFIED.find((version) => version === value);
  if (shipped !== undefined && base === undefined) return shipped;
  if (typeof value !== 'object' || value === null)
    throw new NoModule(
      'it exports no module: export one as default or as `module`, ' +
        "e.g. defineModule('1.5.05', { name: 'mine' })",
    );
  const own = membersOf(value);
  const name = nameIn(own);
  const refuse = (problem: string): never => {
    throw new NoModule(`module ${name}: ${problem}`);
  };
  const isWhole = base === undefined && isComplete(own, SPECIFIED);
  const { functions: inherited, ...start } = baseOf(base ?? SPECIFIED[0], refuse);
  const { functions: given, ...changes } = own;
  if (isWhole && kindOf(given) !== 'a map')
    refuse(`functions is ${kindOf(given)}, not a map: replace some by defineModule(base, { … })`);
  const models = SPECIFIED.map(fieldsOf);
  const replaced = functionsIn(given, inherited, refuse);
  return {
    ...withFields(
      start,
      changes,
      models,
      replaced.map((fn) => fn.name),
      refuse,
    ),
    functions: new Map([
      ...(isWhole ? [] : inherited),
      ...replaced.map((fn) => [fn.name, fn] as const),
    ]),
  };
}

/**
 * A function of a version, for one that does the same and something else.
 *
 * @throws NoModule if the version has no such function
 */
export function functionOf(version: ModuleVersion, name: string): InterfaceFunction {
  const { name: of, functions } = versionData(version);
  const found = functions.get(name);
  if (found !== undefined) return found;
  const meant = meantBy(name, functions.keys());
  throw new NoModule(
    `module ${of} has no function "${name}"` +
      (meant === undefined ? '' : `; did you mean "${meant}"?`),
  );
}

/** The fields of a version that are no functions. */
function fieldsOf(version: VersionData): Omit<VersionData, 'functions'> {
  const { functions: _, ...fields } = version;
  return fields;
}

const KEBAB_CASE = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** The name of a module. @throws NoModule if it has none, or one that it cannot have */
function nameIn({ name }: Readonly<Record<string, unknown>>): string {
  if (typeof name !== 'string' || name === '')
    throw new NoModule("the module has no name: add name: 'my-module'");
  if (MODULE_NAMES.some((shipped) => shipped === name))
    throw new NoModule(`a shipped module has the name ${name}: give this one another`);
  if (!KEBAB_CASE.test(name))
    throw new NoModule(
      `"${name}" is no name of a module: give lower-case letters and digits, ` +
        'with hyphens between words',
    );
  return name;
}

/** The data of a base. */
function baseOf(base: unknown, refuse: (problem: string) => never): VersionData {
  const known = MODULE_NAMES.find((name) => name === base);
  if (known !== undefined) return versionData(known);
  if (typeof base === 'object' && base !== null && isComplete(membersOf(base), SPECIFIED))
    return base as VersionData; // it has every field of one
  const what = typeof base === 'string' ? `"${base}"` : kindOf(base);
  return refuse(`its base is ${what}, not a version; the versions are ${MODULE_NAMES.join(', ')}`);
}
