/**
 * Compares the dump at the end of a scenario with the specification's state: every S-EPT entry that
 * is not FREE, every PAMT entry that is not NDA or whose lock word is not zero, every TD and vCPU,
 * key ownership and write-back state.
 *
 * A row with a `count` is a run of consecutive entries at consecutive addresses.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import {
  describeEntry,
  ENTRY_LOCK,
  FREE,
  HOST_PRIORITY,
  stateName,
  stateOf,
} from '../../../../spec/tdx/entry.ts';
import { NDA, SIZES } from '../../../../spec/tdx/pamt.ts';
import type { FinalDump, PamtRow, SeptRow } from '../format/scenario.ts';
import { hexOf } from '../format/values.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import {
  compareEpoch,
  compareRows,
  compareScalar,
  compareVcpu,
  type ReportDifference,
} from './compare-step.ts';
import {
  forEachEntry,
  kotRows,
  PAMT_FIELDS,
  TD_FIELDS,
  TD_LOCKS,
  VCPU_FIELDS,
  wbtRows,
} from './observe.ts';

type FinalTd = FinalDump['tds'][number];

/**
 * Reports every part of the dump in which the specification differs from the recording.
 * `ignoresLocks`: entries are compared without lock and host-priority bits, and PAMT entries
 * without lock words.
 */
export function compareFinal(
  u: Universe,
  dump: FinalDump,
  report: ReportDifference,
  ignoresLocks = false,
): void {
  for (const td of dump.tds) {
    const slot = u.slots.get(td.td);
    if (slot === undefined) report(`tds[${td.td}]`, 'present', 'absent');
    else
      compareTd(
        u,
        slot,
        td,
        (field, recorded, ours) => report(`tds[${td.td}].${field}`, recorded, ours),
        ignoresLocks,
      );
  }
  comparePamt(u, dump.pamt, report, ignoresLocks);
  if (dump.kot !== undefined) {
    compareScalar(report, 'kot.lockRaw', dump.kot.lockRaw, u.tdx.m.peek(u.tdx.keys.lock));
    compareRows(report, 'kot', dump.kot.entries, kotRows(u));
  }
  if (dump.wbt !== undefined) compareRows(report, 'wbt', dump.wbt, wbtRows(u));
}

function compareTd(
  u: Universe,
  slot: Slot,
  td: FinalTd,
  report: ReportDifference,
  ignoresLocks: boolean,
): void {
  for (const [field, read] of TD_FIELDS) {
    if (td[field] !== undefined) compareScalar(report, field, td[field], read(u, slot));
  }
  if (td.epoch !== undefined) compareEpoch(u, slot, report, td.epoch);
  if (td.locks !== undefined) {
    for (const [name, field] of TD_LOCKS) {
      compareScalar(report, `locks.${name}`, td.locks[name], word(u, slot.tdr, field));
    }
  }
  td.vcpus.forEach((vcpu, index) => {
    const tdvpr = slot.tdvpr[index] ?? -1;
    if (vcpu.vcpuInfo !== undefined)
      compareVcpu(u, tdvpr, report, `vcpus[${index}]`, vcpu.vcpuInfo);
    for (const [field, read] of VCPU_FIELDS) {
      if (vcpu[field] !== undefined)
        compareScalar(report, `vcpus[${index}].${field}`, vcpu[field], read(u, tdvpr));
    }
  });
  if (td.sept !== undefined)
    compareTree(u, slot, td.sept, report, ignoresLocks ? ENTRY_LOCK | HOST_PRIORITY : 0);
}

const PAGE = BigInt(PAGE_BYTES);

/** An entry that the recording lists. */
interface Expected<Row> {
  readonly row: Row;
  /** Index in the row's run. */
  readonly nth: number;
}

const entryName = (gfn: number, level: number): string =>
  `sept[${hexOf(BigInt(gfn) * PAGE)} level ${level}]`;
const entryKey = (gfn: number, level: number): number => gfn * 8 + level;

function compareTree(
  u: Universe,
  slot: Slot,
  rows: readonly SeptRow[],
  report: ReportDifference,
  ignored: number,
): void {
  const { geometry } = u.tdx;
  const expected = new Map<number, Expected<SeptRow>>();
  for (const row of rows) {
    const first = Number(BigInt(row.gpa) / PAGE);
    for (let nth = 0; nth < row.count; nth++) {
      expected.set(entryKey(first + nth * geometry.span(row.level), row.level), { row, nth });
    }
  }
  forEachEntry(u, slot, (gfn, level, written) => {
    const entry = written & ~ignored;
    if (entry === FREE) return;
    const at = entryKey(gfn, level);
    const found = expected.get(at);
    const where = entryName(gfn, level);
    if (found === undefined) return report(where, 'FREE', describeEntry(entry, u.tdx.base));
    expected.delete(at);
    const { row, nth } = found;
    const raw = BigInt(row.raw) + BigInt(nth * geometry.span(level)) * PAGE;
    if (raw !== u.tdx.rawEntry(entry, slot.tdr) || row.state !== stateName(stateOf(entry))) {
      const ours = `${stateName(stateOf(entry))} ${hexOf(u.tdx.rawEntry(entry, slot.tdr))}`;
      report(where, `${row.state} ${hexOf(raw)}`, ours);
    }
  });
  for (const [at, { row }] of expected) {
    report(entryName(Math.floor(at / 8), at % 8), `${row.state} ${row.raw}`, 'FREE');
  }
}

const pamtKey = (page: number, size: number): number => page * 4 + size;

function comparePamt(
  u: Universe,
  rows: readonly PamtRow[],
  report: ReportDifference,
  ignoresLocks: boolean,
): void {
  const { geometry, pamt, m } = u.tdx;
  const expected = new Map<number, PamtRow>();
  for (const row of rows) {
    const size = SIZES.indexOf(row.size);
    const first = u.page(row.hpa);
    for (let nth = 0; nth < row.count; nth++)
      expected.set(pamtKey(first + nth * geometry.span(size), size), row);
  }
  pamt.forEachTouched((page, size) => {
    const isLocked = !ignoresLocks && m.peek(pamt.lock(page, size)) !== 0;
    const inUse = pamt.type(page, size) !== NDA || isLocked;
    const row = expected.get(pamtKey(page, size));
    if (!inUse && row === undefined) return;
    expected.delete(pamtKey(page, size));
    for (const [field, read] of PAMT_FIELDS) {
      if (ignoresLocks && field === 'lockRaw') continue;
      const ours = read(u, page, size);
      if (row === undefined) {
        if (field === 'type') report(nameOf(u, page, size), 'absent', `${ours}`);
      } else if (row[field] !== ours) {
        report(`${nameOf(u, page, size)}.${field}`, `${row[field]}`, `${ours}`);
      }
    }
  });
  for (const [at, row] of expected)
    report(nameOf(u, Math.floor(at / 4), at % 4), row.type, 'absent');
}

const nameOf = (u: Universe, page: number, size: number): string =>
  `pamt[${hexOf(u.tdx.base + BigInt(page) * PAGE)} ${SIZES[size] ?? size}]`;
