/** The version of the module that a recording names. */
import {
  MODULE_NAMES,
  MODULE_VERSIONS,
  NEWEST_VERSION,
  type ModuleVersion,
} from '../../../../spec/tdx/versions/index.ts';
import { InputError } from '../../../files/input.ts';

/**
 * The version in a recording's `module`, e.g. of `TDX 1.5.05`, or of `1.5.05.46.698`, which names
 * the build too; null if it is not specified.
 */
function versionIn(module: string): ModuleVersion | null {
  const named = /\d+(?:\.\d+)+/.exec(module)?.[0] ?? '';
  return (
    MODULE_NAMES.find((name) => name === named) ??
    MODULE_VERSIONS.find((name) => named.startsWith(`${name}.`)) ??
    null
  );
}

/**
 * The version by which to judge a recording of `module`: `chosen`, or the one that it names.
 *
 * @throws InputError if it names a version that is not specified
 */
export function versionOf(
  module: string | undefined,
  chosen: ModuleVersion | undefined,
  where: string,
): ModuleVersion {
  if (chosen !== undefined) return chosen;
  if (module === undefined) return NEWEST_VERSION;
  const version = versionIn(module);
  if (version !== null) return version;
  throw new InputError(
    where,
    `records "${module}", which is not specified`,
    `choose the version to judge it by: --module ${MODULE_NAMES.join(', ')}`,
  );
}
