/**
 * Records the state at the end of a scenario: every S-EPT entry that is not FREE, every PAMT entry
 * that is not NDA or is locked, every TD and vCPU, and for life-cycle recordings key ownership and
 * write-back state.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { pageOf, stateName, stateOf } from '../../../../spec/tdx/entry.ts';
import { NDA, SIZES } from '../../../../spec/tdx/pamt.ts';
import { hexOf } from '../format/values.ts';
import {
  forEachEntry,
  kotRows,
  PAMT_FIELDS,
  TD_FIELDS,
  TD_LOCKS,
  wbtRows,
} from '../replay/observe.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import { epochField, hasTdcs, tdState, vcpuFields, vcpuInfo } from './record-step.ts';

type Fields = Readonly<Record<string, unknown>>;
const PAGE = BigInt(PAGE_BYTES);

/** The dump of the current state of the universe. */
export function recordFinal(u: Universe): Fields {
  const slots = [...u.slots.values()];
  if (u.isSequential) return { tds: slots.map((slot) => sequentialTd(u, slot)), pamt: pamtRows(u) };
  return {
    tds: slots.map((slot) => lifecycleTd(u, slot)),
    kot: { lockRaw: u.tdx.m.peek(u.tdx.keys.lock), entries: kotRows(u) },
    wbt: wbtRows(u),
    pamt: pamtRows(u),
  };
}

const field = (u: Universe, slot: Slot, name: string): unknown => TD_FIELDS.get(name)?.(u, slot);

const locksOf = (u: Universe, { tdr }: Slot): Fields =>
  Object.fromEntries(TD_LOCKS.map(([name, at]) => [name, word(u, tdr, at)]));

const sequentialTd = (u: Universe, slot: Slot): Fields => ({
  td: slot.td,
  opState: field(u, slot, 'opState'),
  lifecycle: field(u, slot, 'lifecycle'),
  chldcnt: field(u, slot, 'chldcnt'),
  epoch: epochField(u, slot),
  locks: locksOf(u, slot),
  vcpus: slot.tdvpr.map((tdvpr) => vcpuFields(u, tdvpr, ['state', 'vcpuEpoch', 'assocLp'])),
  sept: septRows(u, slot),
});

/** A life-cycle dump has the tree only as long as the TD has its keys. */
const lifecycleTd = (u: Universe, slot: Slot): Fields => ({
  td: slot.td,
  ...tdState(u, slot),
  vcpus: slot.tdvpr.map((tdvpr) => ({ vcpuInfo: vcpuInfo(u, tdvpr) })),
  ...(field(u, slot, 'lifecycle') === 'KEYS_CONFIGURED' && hasTdcs(u, slot)
    ? { sept: septRows(u, slot), locks: locksOf(u, slot) }
    : {}),
});

/** A run of consecutive rows. */
interface Run {
  /** The first row. */
  readonly fields: Fields;
  /** The key of the row that continues the run. */
  next: string;
  count: number;
}

class Runs {
  private readonly runs: Run[] = [];

  /** Adds a row: it continues the last run if `key` is the one expected there, or begins a run. */
  add(key: string, next: string, fields: Fields): void {
    const last = this.runs.at(-1);
    if (last?.next === key) {
      last.count++;
      last.next = next;
    } else this.runs.push({ fields, next, count: 1 });
  }

  get rows(): Fields[] {
    return this.runs.map(({ fields, count }) => (count === 1 ? fields : { ...fields, count }));
  }
}

function septRows(u: Universe, slot: Slot): Fields[] {
  const runs = new Runs();
  const { geometry, base } = u.tdx;
  forEachEntry(u, slot, (gfn, level, entry) => {
    const raw = u.tdx.rawEntry(entry, slot.tdr);
    const span = geometry.span(level);
    runs.add(`${level} ${gfn} ${raw}`, `${level} ${gfn + span} ${raw + BigInt(span) * PAGE}`, {
      gpa: hexOf(BigInt(gfn) * PAGE),
      level,
      raw: hexOf(raw),
      state: stateName(stateOf(entry)),
      hpa: hexOf(base + BigInt(pageOf(entry)) * PAGE),
    });
  });
  return runs.rows;
}

/** The rows of the PAMT, small pages first. A locked entry is never part of a run. */
function pamtRows(u: Universe): Fields[] {
  const { pamt, geometry, base } = u.tdx;
  const runs = new Runs();
  pamt.forEachTouched((page, size) => {
    const recorded = Object.fromEntries(
      [...PAMT_FIELDS].map(([name, read]) => [name, read(u, page, size)]),
    );
    const { lockRaw, ...fields } = recorded;
    const row = { hpa: hexOf(base + BigInt(page) * PAGE), size: SIZES[size], ...fields };
    if (lockRaw !== 0) runs.add('locked', 'nothing', { ...row, lockRaw });
    else if (pamt.type(page, size) !== NDA) {
      const same = JSON.stringify(fields);
      runs.add(`${size} ${page} ${same}`, `${size} ${page + geometry.span(size)} ${same}`, row);
    }
  });
  return runs.rows;
}
