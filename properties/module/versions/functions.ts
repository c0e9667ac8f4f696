/** What a call of each function shows in each version, as text. */
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { CALLS, callsOf, PreparedCall, type CallRow } from './calls.ts';
import { entryOutcomes, isAboutEntry } from './entry-states.ts';
import { acceptedVersions, interruptedOutcome, TRIED_VERSIONS } from './experiments.ts';
import { observeLocks, type ObservedLocks } from './locks.ts';
import { SUCCEEDS } from './outcome.ts';

/** What is shown of a function. */
export const ASPECTS = ['locks', 'released', 'entry', 'interrupt', 'versions'] as const;
export type Aspect = (typeof ASPECTS)[number];

export interface FunctionText {
  readonly title: string;
  /** By aspect, the text for each of the given versions; null if the version has no such call. */
  readonly texts: Readonly<Record<Aspect, readonly (string | null)[]>>;
}

/** Every row of {@link CALLS} in each version. */
export function functionTexts(versions: readonly ModuleVersion[]): FunctionText[] {
  return CALLS.map((row) => {
    const seen = versions.map((version) =>
      callsOf(version).includes(row) ? textsOf(version, row) : null,
    );
    const of = (aspect: Aspect): (string | null)[] => seen.map((one) => one?.[aspect] ?? null);
    return {
      title: row.title,
      texts: {
        locks: of('locks'),
        released: of('released'),
        entry: of('entry'),
        interrupt: of('interrupt'),
        versions: of('versions'),
      },
    };
  });
}

function textsOf(version: ModuleVersion, row: CallRow): Record<Aspect, string> {
  const prepared = new PreparedCall(version, row);
  const locks = observeLocks(prepared);
  return {
    locks: locksText(locks),
    released: releasesText(locks),
    entry: isAboutEntry(row) ? entryText(entryOutcomes(version, row)) : '',
    interrupt: interruptedOutcome(prepared) ?? NOT_INTERRUPTED,
    versions: versionsText(acceptedVersions(prepared)),
  };
}

export const NOT_INTERRUPTED = 'no';
export const ONE_VERSION = '0';

/** A function that accepts whatever it is given does not look at its version. */
const versionsText = (accepted: readonly number[]): string =>
  accepted.length === TRIED_VERSIONS ? ONE_VERSION : accepted.join(', ');

/** OPERAND_BUSY is shown by its operand. */
const BUSY = 'OPERAND_BUSY|';
const NONE = 'none';

const joined = (parts: readonly string[]): string => (parts.length === 0 ? NONE : parts.join(', '));

const locksText = ({ taken }: ObservedLocks): string =>
  joined(taken.map(({ name, mode, busy }) => `${name} ${mode} (${busy.replace(BUSY, '')})`));

const releasesText = ({ released, kept }: ObservedLocks): string =>
  joined(released) + (kept.length === 0 ? '' : `; keeps ${kept.join(', ')}`);

/** A status about the entry names RCX. */
const ABOUT_ENTRY = /\|RCX$/;

/** The states for each outcome, e.g. `GPA_RANGE_NOT_BLOCKED: MAPPED, PENDING`. */
function entryText(outcomes: ReadonlyMap<string, readonly string[]>): string {
  const sizes = new Set([...outcomes.values()].flat().map((name) => name.split('@')[1]));
  return [...outcomes]
    .filter(([outcome]) => outcome !== SUCCEEDS)
    .map(([outcome, states]) => {
      const names = [...new Set(states.map((name) => name.split('@')[0] ?? ''))];
      const shown = names.map((name) => {
        const own = states.filter((state) => state.startsWith(`${name}@`));
        const isOfAll = own.length === sizes.size || name.startsWith('NL_');
        return isOfAll ? name : own.join(', ');
      });
      return `${outcome.replace(ABOUT_ENTRY, '')}: ${shown.join(', ')}`;
    })
    .join('; ');
}
