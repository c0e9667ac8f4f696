/** The raw bits and the code of each state of an entry, by version. */
import {
  BLOCKED,
  entry,
  FREE,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  PENDING,
  PENDING_BLOCKED,
  stateName,
} from '../../../spec/tdx/entry.ts';
import type { VersionData } from '../../../spec/tdx/versions/index.ts';

/** The states of a TD without migration. */
const STATES_WITHOUT_MIGRATION = [
  FREE,
  NL_MAPPED,
  NL_BLOCKED,
  MAPPED,
  BLOCKED,
  PENDING,
  PENDING_BLOCKED,
] as const;

const BITS = 64;
/** Page 0: only the bits beside the address. */
const NO_PAGE = 0;

/** The state's name; for each version its raw bits and the code in RDX. */
export const encodingRows = (
  versions: readonly VersionData[],
): { readonly state: string; readonly values: readonly string[] }[] =>
  STATES_WITHOUT_MIGRATION.map((state) => ({
    state: stateName(state),
    values: versions.map(({ encoding }) => {
      const [raw, withVe] = [false, true].map((ve) =>
        encoding.toRaw(entry(state, NO_PAGE), 0n, ve),
      );
      const bits = [...new Set([raw, withVe])].map((one) => bitsText(one ?? 0n));
      return `${bits.join(', with #VE ')}; code ${encoding.stateCode(state)}`;
    }),
  }));

/** Numbers of the bits that are set, e.g. `63, 2:0`. */
function bitsText(raw: bigint): string {
  const isSet = (bit: number): boolean => ((raw >> BigInt(bit)) & 1n) !== 0n;
  const ranges: string[] = [];
  for (let high = BITS - 1; high >= 0; high--) {
    if (!isSet(high)) continue;
    let low = high;
    while (low > 0 && isSet(low - 1)) low--;
    ranges.push(low === high ? String(high) : `${high}:${low}`);
    high = low;
  }
  return ranges.length === 0 ? 'none' : ranges.join(' ');
}
