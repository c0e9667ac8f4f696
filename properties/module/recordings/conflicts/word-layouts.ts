/**
 * The 8-byte words of a TD's and a vCPU's control structures whose writes recordings show: their
 * names, and the fields that lie in them.
 *
 * Source: the words in commit-order, stepwise and lifecycle-locks recordings; of 1.0.03 (commit
 * fd485aa of niooss-ledger/tdx-module), where several fields share a word,
 * src/common/data_structures/td_control_structures.h: tdr_t, tdcs_t; tdx_tdvps.h:
 * tdvps_management_t.
 */
import { INITIALIZED, RUNNABLE, TD, VP } from '../../../../spec/tdx/td.ts';

/** Reads a field of the structure. */
type Get = (field: number) => bigint;

export interface WordRow {
  /** The name, after that of the vCPU if it is one of a vCPU. */
  readonly name: string;
  /** The fields of the structure that are part of the word. */
  readonly fields: readonly number[];
  readonly raw: (get: Get) => bigint;
  /** The word is a time, of which a recording has other values than this specification. */
  readonly isTime?: true;
}

export interface WordLayout {
  readonly td: readonly WordRow[];
  readonly vcpu: readonly WordRow[];
}

const row = (name: string, fields: readonly number[], raw: (get: Get) => bigint): WordRow => ({
  name,
  fields,
  raw,
});
/** A word with one field. */
const plain = (name: string, field: number): WordRow => row(name, [field], (get) => get(field));
const flag = (is: boolean): bigint => (is ? 1n : 0n);

/** The recorder of 1.5 replaced SHA-384 by a function that writes this value. */
const MEASURED = 0xababababababababn;
const FIRST_MEASUREMENT = 0x240;
const MEASUREMENT_WORDS = [0, 1, 2] as const;

const NOT_ASSOCIATED = 0xffffffffn;
const lpidOf = (get: Get): bigint =>
  get(VP.ASSOC_LPID) === 0n ? NOT_ASSOCIATED : get(VP.ASSOC_LPID) - 1n;

/** Number of pages beside the TDVPR; 0 also if there is no vCPU. */
const pagesBeside = (get: Get): bigint => (get(VP.NUM_PAGES) === 0n ? 0n : get(VP.NUM_PAGES) - 1n);

const COUNTS = 'NUM_ASSOC_VCPUS';
const EPOCHS = 'TD_EPOCH/REFCOUNT cell';
const TD_COMMON: readonly WordRow[] = [
  plain('TDR.CHLDCNT', TD.CHLDCNT),
  plain(EPOCHS, TD.TD_EPOCH),
  row(
    EPOCHS,
    [TD.REFCOUNT_EVEN, TD.REFCOUNT_ODD],
    (get) => get(TD.REFCOUNT_EVEN) | (get(TD.REFCOUNT_ODD) << 16n),
  ),
];

const LAYOUT_1_5: WordLayout = {
  td: [
    ...TD_COMMON,
    plain('OP_STATE', TD.OP_STATE),
    row(
      COUNTS,
      [TD.NUM_VCPUS, TD.NUM_ASSOC_VCPUS],
      (get) => get(TD.NUM_VCPUS) | (get(TD.NUM_ASSOC_VCPUS) << 32n),
    ),
    ...MEASUREMENT_WORDS.map((i) =>
      row(`TDCS+0x${(FIRST_MEASUREMENT + i * 16).toString(16)}`, [TD.MEASUREMENT + i], (get) =>
        get(TD.MEASUREMENT + i) === 0n ? 0n : MEASURED,
      ),
    ),
  ],
  vcpu: [
    plain('STATE', VP.STATE),
    plain('VCPU_EPOCH', VP.VCPU_EPOCH),
    row('ASSOC_LPID', [VP.ASSOC_LPID], lpidOf),
  ],
};

const LAYOUT_1_0: WordLayout = {
  td: [
    ...TD_COMMON,
    row(
      'TDR+0x0',
      [TD.OP_STATE, TD.NUM_TDCX],
      (get) => flag(get(TD.OP_STATE) >= INITIALIZED) | (get(TD.NUM_TDCX) << 32n),
    ),
    plain('TDR+0x30', TD.LIFECYCLE),
    plain('TDR+0x40', TD.PKG_CONFIG_BITMAP),
    row(
      'FINALIZED/NUM_VCPUS',
      [TD.OP_STATE, TD.NUM_VCPUS],
      (get) => flag(get(TD.OP_STATE) >= RUNNABLE) | (get(TD.NUM_VCPUS) << 32n),
    ),
    plain(COUNTS, TD.NUM_ASSOC_VCPUS),
  ],
  vcpu: [
    row(
      'STATE',
      [VP.STATE, VP.LAUNCHED, VP.VCPU_INDEX, VP.NUM_PAGES],
      (get) =>
        get(VP.STATE) |
        (get(VP.LAUNCHED) << 8n) |
        (get(VP.VCPU_INDEX) << 16n) |
        (pagesBeside(get) << 48n),
    ),
    plain('VCPU_EPOCH', VP.VCPU_EPOCH),
    row(
      'ASSOC_LPID',
      [VP.ASSOC_LPID, VP.ASSOC_HKID],
      (get) => lpidOf(get) | (get(VP.ASSOC_HKID) << 32n),
    ),
    { ...plain('LAST_EXIT_TSC', VP.LAST_EXIT_TSC), isTime: true },
  ],
};

export const WORD_LAYOUTS = { '1.0': LAYOUT_1_0, '1.5': LAYOUT_1_5 } as const;
