/**
 * The versions of the module, newest of each family first. To add one, write its file and list it
 * here.
 */
import type { SeptFunction, SeptLocking, VersionData } from '../version.ts';
import { V1_0_03 } from './v1.0.03.ts';
import { V1_5_01 } from './v1.5.01.ts';
import { V1_5_05 } from './v1.5.05.ts';
import { WHAT_IFS } from './what-if/index.ts';

export type { SeptFunction, SeptLocking, VersionData } from '../version.ts';
export { SEPT_FUNCTIONS } from '../version.ts';

const SHIPPED = { '1.5.05': V1_5_05, '1.5.01': V1_5_01, '1.0.03': V1_0_03 } as const;

/** Full name of a version. */
export type ModuleName = keyof typeof SHIPPED;
/** Name of a module that does not exist (what-if/). */
export type WhatIfName = keyof typeof WHAT_IFS;
/** Names that stand for the newest version of a family. */
const NEWEST = { '1.5': '1.5.05', '1.0': '1.0.03' } as const;
/** Name of a version, or of the newest of a family. */
type VersionName = ModuleName | keyof typeof NEWEST | WhatIfName;
/** A version, by its name or as data of its own. */
export type ModuleVersion = VersionName | VersionData;

// the keys of a literal are its type
export const MODULE_VERSIONS = Object.keys(SHIPPED) as ModuleName[];
export const WHAT_IF_VERSIONS = Object.keys(WHAT_IFS) as WhatIfName[]; // likewise
/** The newest version of all. */
export const NEWEST_VERSION: ModuleName = NEWEST['1.5'];
/** The newest version of each family. */
export const NEWEST_VERSIONS: readonly ModuleName[] = Object.values(NEWEST);
/** Every name that stands for a version. */
export const MODULE_NAMES: readonly VersionName[] = [
  ...new Set<VersionName>([
    ...MODULE_VERSIONS,
    ...(Object.keys(NEWEST) as (keyof typeof NEWEST)[]),
    ...WHAT_IF_VERSIONS,
  ]),
];

const DATA = { ...SHIPPED, ...WHAT_IFS } as const;
/** The data of every version that has a name, the newest first. */
export const SPECIFIED: readonly VersionData[] = Object.values(DATA);

const isFamily = (version: VersionName): version is keyof typeof NEWEST => version in NEWEST;
/** The full name that `version` stands for. */
const moduleName = (version: VersionName): ModuleName | WhatIfName =>
  isFamily(version) ? NEWEST[version] : version;

/** The name by which a version is given. */
export const nameOf = (version: ModuleVersion): string =>
  typeof version === 'string' ? version : version.name;

/** The data of a version. */
export const versionData = (version: ModuleVersion): VersionData =>
  typeof version === 'string' ? DATA[moduleName(version)] : version;

/** Features of a version that a list can name: every version that has the feature. */
const FEATURES = ['dynamicPamt'] as const satisfies readonly (keyof VersionData)[];

/**
 * Whether a list of versions, families and features, e.g. of a rule, has `version`. `*` is every
 * version.
 */
export function listsVersion(list: readonly string[], version: ModuleVersion): boolean {
  const data = versionData(version);
  const names = ['*', data.name, data.family, ...FEATURES.filter((feature) => data[feature])];
  return list.some((listed) => names.includes(listed));
}

/** How a function of a version locks the Secure EPT. */
export const septLocking = (version: ModuleVersion, fn: SeptFunction): SeptLocking =>
  versionData(version).septLocks[fn];
