/**
 * Compares the state at the end of a concurrent history. Lock bits and host priority are left out:
 * refused calls may leave them (docs/module-notes.md#refused-calls).
 */
import type { FinalDump } from '../format/scenario.ts';
import { compareFinal } from '../replay/compare-final.ts';
import type { Universe } from '../universe/universe.ts';
import { refusalOf } from './busy-causes.ts';
import type { RecordedHistory } from './format.ts';

/** The fields of a TD that are compared. */
const TD_PARTS = ['td', 'epoch', 'opState', 'lifecycle', 'chldcnt', 'sept'] as const;
/** The fields of a vCPU that are compared. A refused VP.ENTER may have written the latter two. */
const VCPU_PARTS = ['state'] as const;
const PARTS_OF_ENTER = ['vcpuEpoch', 'assocLp'] as const;
const ENTER = 'TDH.VP.ENTER';
/** Locks that no call holds beyond its end. */
const FREE_AT_END = ['septTree', 'epoch'] as const;
const PAGE = 0xf_ffff_ffff_f000n;

/**
 * Returns the dump at the end of a history, reduced to what is compared. `lockBits` are the bits of
 * a raw entry that are left out.
 */
export function comparable(
  { final: { tds, pamt }, events }: RecordedHistory,
  lockBits: bigint,
): FinalDump {
  return {
    tds: tds.map((td) => {
      const vcpus = td.vcpus.map((vcpu, index) => {
        const isEnterRefused = events.some(
          (event) =>
            event.op === ENTER &&
            event.in.td === td.td &&
            event.in.vcpu === index &&
            refusalOf(event) !== null,
        );
        return picked(vcpu, isEnterRefused ? VCPU_PARTS : [...VCPU_PARTS, ...PARTS_OF_ENTER]);
      });
      const kept: FinalDump['tds'][number] = { td: td.td, vcpus, ...picked(td, TD_PARTS) };
      if (td.sept !== undefined) {
        kept.sept = td.sept
          .filter(({ state }) => state !== 'FREE')
          .map((row) => ({ ...row, raw: `0x${(BigInt(row.raw) & ~lockBits).toString(16)}` }));
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
 * Returns a part of the dump that no calls can lead to: a lock that is held, an entry whose address
 * contradicts its raw value. Null if there is none.
 */
export function impossible({ tds }: FinalDump): string | null {
  for (const { td, locks, sept = [] } of tds) {
    const held = FREE_AT_END.find((name) => locks !== undefined && locks[name] !== 0);
    if (held !== undefined)
      return `tds[${td}].locks.${held} is ${locks?.[held]}; the specification allows 0`;
    const row = sept.find(({ raw, hpa }) => (BigInt(raw) & PAGE) !== BigInt(hpa));
    if (row !== undefined) {
      const where = `tds[${td}].sept[${row.gpa} level ${row.level}].hpa`;
      return `${where} is ${row.hpa}; the specification allows that of ${row.raw}`;
    }
  }
  return null;
}

/** Returns the first difference between the universe and a comparable dump, or null. */
export function firstDifference(u: Universe, dump: FinalDump): string | null {
  let first: string | null = null;
  compareFinal(
    u,
    dump,
    (field, recorded, ours) => {
      first ??= `${field} is ${recorded}; the specification allows ${ours}`;
    },
    true,
  );
  return first;
}
