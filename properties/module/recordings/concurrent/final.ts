/**
 * The state at the end of a concurrent history. Locks and requests for priority are left out, as in
 * the recordings' own search: refused calls are free to leave them.
 */
import type { FinalDump } from '../format/format.ts';
import { compareFinal } from '../replay/compare-final.ts';
import type { Universe } from '../universe/universe.ts';
import { refusalOf } from './busy.ts';
import type { RecordedHistory } from './format.ts';

/** Bit 11, the entry lock, and bit 52, host priority. */
const TRANSIENT_BITS = (1n << 11n) | (1n << 52n);

/** Of a TD, what is compared. */
const TD_PARTS = ['td', 'epoch', 'opState', 'lifecycle', 'chldcnt', 'sept'] as const;
/**
 * Of a vCPU, what is compared: always, and unless a VP.ENTER of it was refused, which leaves these
 * half-way.
 */
const VCPU_PARTS = ['state'] as const;
const PARTS_OF_ENTRY = ['vcpuEpoch', 'assocLp'] as const;
const ENTER = 'TDH.VP.ENTER';
/** Locks that nobody holds beyond a call. */
const AT_REST = ['septTree', 'epoch'] as const;
const PAGE = 0xf_ffff_ffff_f000n;

/** The dump at the end of a history, without what is not compared. */
export function comparable({ final: { tds, pamt }, events }: RecordedHistory): FinalDump {
  return {
    tds: tds.map((td) => {
      const vcpus = td.vcpus.map((vcpu, index) => {
        const isHalfWay = events.some(
          (event) =>
            event.op === ENTER &&
            event.in.td === td.td &&
            event.in.vcpu === index &&
            refusalOf(event) !== null,
        );
        return picked(vcpu, isHalfWay ? VCPU_PARTS : [...VCPU_PARTS, ...PARTS_OF_ENTRY]);
      });
      const kept: FinalDump['tds'][number] = { td: td.td, vcpus, ...picked(td, TD_PARTS) };
      if (td.sept !== undefined) {
        kept.sept = td.sept
          .filter(({ state }) => state !== 'FREE')
          .map((row) => ({ ...row, raw: `0x${(BigInt(row.raw) & ~TRANSIENT_BITS).toString(16)}` }));
      }
      return kept;
    }),
    pamt: pamt.filter(({ type }) => type !== 'NDA').map((row) => ({ ...row, lockRaw: 0 })),
  };
}

const picked = <T extends object>(all: T, names: readonly (keyof T & string)[]): Partial<T> =>
  Object.fromEntries(
    names.filter((name) => all[name] !== undefined).map((name) => [name, all[name]]),
  ) as Partial<T>;

/**
 * What no module could leave, whatever was called: a lock that is held, an entry that is not what
 * it says; or null.
 */
export function impossible({ tds }: FinalDump): string | null {
  for (const { td, locks, sept = [] } of tds) {
    const held = AT_REST.find((name) => locks !== undefined && locks[name] !== 0);
    if (held !== undefined) return `tds[${td}].locks.${held} is ${locks?.[held]}, and may be 0`;
    const row = sept.find(({ raw, hpa }) => (BigInt(raw) & PAGE) !== BigInt(hpa));
    if (row !== undefined) {
      return `tds[${td}].sept[${row.gpa} level ${row.level}].hpa is ${row.hpa}, and may be that of ${row.raw}`;
    }
  }
  return null;
}

/** The first way in which the universe differs from a comparable dump, or null. */
export function firstDifference(u: Universe, dump: FinalDump): string | null {
  let first: string | null = null;
  compareFinal(
    u,
    dump,
    (field, recorded, ours) => {
      first ??= `${field} is ${recorded}, and may be ${ours}`;
    },
    true,
  );
  return first;
}
