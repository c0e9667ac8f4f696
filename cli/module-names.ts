/** Finds the module that a command line names: a shipped version by name, any other by file. */
import { existsSync } from 'node:fs';
import { nearly } from '../impl/did-you-mean.ts';
import { moduleFrom } from '../impl/index.ts';
import { guardModule } from '../properties/checker/module-guard.ts';
import { MODULE_NAMES, type ModuleVersion } from '../spec/tdx/versions/index.ts';
import { UsageError } from './errors.ts';
import { exportOf, inFile } from './load-module.ts';

/** Returns the version `name`, or the module that the file `name` exports. @throws UsageError */
export async function moduleNamed(name: string): Promise<ModuleVersion> {
  const shipped = MODULE_NAMES.find((version) => version === name);
  if (shipped !== undefined) return shipped;
  if (!existsSync(name))
    throw new UsageError(`there is no module and no file "${name}"; ${hintFor(name)}`);
  const exported = await exportOf(name, ['default', 'module']);
  return guardModule(
    inFile(name, () => moduleFrom(exported)),
    name,
  );
}

/** {@link moduleNamed} of an option that may be absent. */
export const moduleOrNone = async (name: string | undefined): Promise<ModuleVersion | undefined> =>
  name === undefined ? undefined : await moduleNamed(name);

/** What to name instead. */
function hintFor(name: string): string {
  const meant = MODULE_NAMES.find((known) => nearly(name, known));
  const known = MODULE_NAMES.join(', ');
  return meant === undefined
    ? `the modules are ${known}`
    : `did you mean ${meant}? The modules are ${known}`;
}
