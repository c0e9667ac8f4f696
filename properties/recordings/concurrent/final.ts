/**
 * The state at the end of a concurrent history. Locks and requests for priority are left out, as in the recordings'
 * own search: refused calls are free to leave them.
 */
import { compareFinal } from '../replay/compare-final.ts';
import type { FinalDump } from '../format/format.ts';
import type { Universe } from '../replay/universe.ts';

/** Bit 11, the entry lock, and bit 52, host priority. */
const TRANSIENT_BITS = (1n << 11n) | (1n << 52n);

/** Of a TD and of a VCPU, what is compared. */
const TD_PARTS = ['td', 'epoch', 'opState', 'chldcnt', 'sept'] as const;

/** A dump without what is not compared. */
export function comparable({ tds, pamt }: FinalDump): FinalDump {
  return {
    tds: tds.map((td) => {
      const kept: FinalDump['tds'][number] = { td: td.td, vcpus: td.vcpus.map(({ state }) => ({ state })) };
      for (const part of TD_PARTS) Object.assign(kept, td[part] === undefined ? {} : { [part]: td[part] });
      if (td.sept !== undefined) {
        kept.sept = td.sept.filter(({ state }) => state !== 'FREE')
          .map((row) => ({ ...row, raw: `0x${(BigInt(row.raw) & ~TRANSIENT_BITS).toString(16)}` }));
      }
      return kept;
    }),
    pamt: pamt.filter(({ type }) => type !== 'NDA').map((row) => ({ ...row, lockRaw: 0 })),
  };
}

/** The first way in which the universe differs from a comparable dump, or null. */
export function firstDifference(u: Universe, dump: FinalDump): string | null {
  let first: string | null = null;
  compareFinal(u, dump, (field, recorded, ours) => { first ??= `${field} is ${recorded}, and may be ${ours}`; }, true);
  return first;
}
