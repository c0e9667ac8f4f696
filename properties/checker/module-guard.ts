/**
 * Modules from outside the package. What a function of such a module does wrong is reported in one
 * line that names the module, its file and the function, whichever command runs it: it throws, it
 * yields what is no step, it returns what is no status, or it does not end.
 */
import { type Access, type Steps } from '../../spec/machine/step.ts';
import type { Call } from '../../spec/tdx/call.ts';
import type { InterfaceFunction, TdxModule } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import {
  nameOf,
  SPECIFIED,
  type ModuleVersion,
  type VersionData,
} from '../../spec/tdx/versions/index.ts';
import { withFunctions, type AnyFunction } from './functions-within.ts';
import { LIMIT_SECONDS, NoStep, watchdog } from './watchdog.ts';

/** A module did what no module can. */
export class ModuleError extends Error {
  override readonly name = 'ModuleError';
}

/** No call of a shipped version takes as many, on tables of 512 entries. */
const MAX_STEPS = 1_000_000;

const STATUSES: ReadonlySet<unknown> = new Set(
  Object.values(S).filter((value) => typeof value === 'number'),
);

/** Watches the functions of one module. */
class ModuleGuard {
  /** The file that the module is from, or its name. */
  readonly handle: string;
  /** The module with its file, for messages. */
  readonly title: string;
  /** The function that is taking a step, or null. */
  private inside: string | null = null;
  private readonly watch = watchdog();

  /** Names of the module's own functions. */
  private readonly own = new Set<string>();
  /** Functions in its fields, which any function may call. */
  private hasOwnFields = false;

  constructor(name: string, file: string | undefined) {
    this.handle = file ?? name;
    this.title = `module "${name}"${file === undefined ? '' : ` (${file})`}`;
  }

  /** Runs code that calls the module. @throws ModuleError if a function never takes a step */
  readonly run = (body: () => void): void => {
    this.inside = null;
    try {
      this.watch(body);
    } catch (error) {
      if (!(error instanceof NoStep) || this.inside === null) throw error;
      throw this.error(
        this.inside,
        `took no step for ${LIMIT_SECONDS} s; every loop of a function needs a yield*`,
        error,
      );
    }
  };

  /** Whether the function runs code of the module's own; without a name, whether any does. */
  watches(name?: string): boolean {
    return this.hasOwnFields || (name === undefined ? this.own.size > 0 : this.own.has(name));
  }

  /** A function in a field of the module, watched. */
  watchedField(fn: AnyFunction, place: string): AnyFunction {
    this.hasOwnFields = true;
    const within = <T>(body: () => T): T => this.within(place, body);
    return function watchedField(this: unknown, ...given: unknown[]): unknown {
      return within(() => Reflect.apply(fn, this, given));
    };
  }

  /** `fn`, watched. */
  watched(fn: InterfaceFunction): InterfaceFunction {
    const { name, release } = fn;
    this.own.add(name);
    return { ...fn, name, release, run: (tdx, call) => this.steps(fn, tdx, call) };
  }

  private *steps(fn: InterfaceFunction, tdx: TdxModule, call: Call): Steps<S.Status> {
    const { name } = fn;
    const steps = this.begun(fn, tdx, call);
    for (let taken = 0; ; taken++) {
      const next = this.within(name, () => steps.next());
      if (next.done === true) return this.status(name, next.value);
      this.assertStep(name, next.value);
      if (taken === MAX_STEPS)
        throw this.error(name, `does not end: it has taken ${MAX_STEPS} steps`);
      yield next.value;
    }
  }

  private begun(fn: InterfaceFunction, tdx: TdxModule, call: Call): Steps<S.Status> {
    const steps: unknown = this.within(fn.name, () => fn.run(tdx, call));
    if (Object.prototype.toString.call(steps) === '[object Generator]')
      return steps as Steps<S.Status>; // what it yields and returns is checked
    throw this.error(fn.name, 'returned no steps: write it as a generator, *run(tdx, call) { … }');
  }

  /** Runs code of a function. @throws ModuleError if it throws */
  private within<T>(name: string, body: () => T): T {
    const before = this.inside;
    this.inside = name;
    try {
      return body();
    } catch (error) {
      throw error instanceof ModuleError
        ? error
        : this.error(name, `failed: ${reasonOf(error)}`, error);
    } finally {
      this.inside = before; // not reached when the watchdog ends the run
    }
  }

  private assertStep(name: string, value: Access): void {
    if (value >>> 0 !== value)
      throw this.error(name, `yielded ${String(value)}, not a step: use \`yield*\` to run steps`);
  }

  private status(name: string, value: S.Status): S.Status {
    if (value >>> 0 === value && STATUSES.has(S.classOf(value))) return value;
    throw this.error(name, `returned ${String(value)}, which is no status`);
  }

  private error(name: string, what: string, cause?: unknown): ModuleError {
    return new ModuleError(`${this.title}: ${name} ${what}`, { cause });
  }
}

export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const GUARDS = new WeakMap<object, ModuleGuard>();

const isSpecified = (fn: InterfaceFunction): boolean =>
  SPECIFIED.some(({ functions }) => functions.get(fn.name) === fn);

/** The functions in the fields of the shipped versions, e.g. those that encode entries. */
function specifiedWithin(): ReadonlySet<AnyFunction> {
  const found = new Set<AnyFunction>();
  for (const { functions: _, ...fields } of SPECIFIED) {
    withFunctions(fields, '', (fn) => {
      found.add(fn);
      return fn;
    });
  }
  return found;
}

/** A module from outside, its own functions watched. `file`: where it is from, for messages. */
export function guardModule(version: VersionData, file?: string): VersionData {
  if (SPECIFIED.includes(version) || GUARDS.has(version)) return version;
  const guard = new ModuleGuard(version.name, file);
  const { functions, ...fields } = version;
  const known = specifiedWithin();
  const own = [...functions.values()].map((fn) => (isSpecified(fn) ? fn : guard.watched(fn)));
  const watched = {
    ...(withFunctions(fields, '', (fn, place) =>
      known.has(fn) ? fn : guard.watchedField(fn, place),
    ) as typeof fields), // the same fields, of the same types
    functions: new Map(own.map((fn) => [fn.name, fn])),
  };
  GUARDS.set(watched, guard);
  return watched;
}

/** Whether a value is a module from outside whose functions are watched. */
export const isGuarded = (value: object): value is VersionData => GUARDS.has(value);

/** The guard of a module from outside; undefined for a shipped version. */
export const guardOf = (version: ModuleVersion): ModuleGuard | undefined =>
  typeof version === 'string' ? undefined : GUARDS.get(version);

/** What names a module on the command line: its file, or its name. */
export const handleOf = (version: ModuleVersion): string =>
  guardOf(version)?.handle ?? nameOf(version);

/**
 * Runs code that calls a function of a module, or any when no name is given.
 *
 * @throws ModuleError if that function is one from outside, and the code throws or does not end
 */
export function supervised<T>(version: ModuleVersion, body: () => T, name?: string): T {
  const guard = guardOf(version);
  return guard === undefined || !guard.watches(name) ? body() : reporting(guard, body);
}

/** Runs code that builds a TD. @throws ModuleError if the module is from outside, and it fails */
export function building<T>(version: ModuleVersion, body: () => T): T {
  const guard = guardOf(version);
  return guard === undefined ? body() : reporting(guard, body);
}

function reporting<T>({ title, run }: ModuleGuard, body: () => T): T {
  const results: T[] = [];
  try {
    run(() => {
      results.push(body());
    });
  } catch (error) {
    if (error instanceof ModuleError) throw error;
    throw new ModuleError(`${title}: ${reasonOf(error)}`, { cause: error });
  }
  return results[0] as T; // the body has returned
}
