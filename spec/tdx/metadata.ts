/**
 * The metadata fields of a TD that TDH.MNG.RD reads. An id holds class, element size and field
 * code. Version 1 also returns the id of the next field in the module's order.
 *
 * A field without state in this specification appears only as the next one of another field;
 * reading it returns the status of an unknown id.
 *
 * Source: intel/tdx-module 1.5.01, include/auto_gen/tdr_tdcs_fields_lookup.c: tdr_tdcs_lookup;
 * src/common/metadata_handlers/metadata_td.c: md_td_read_element().
 */
import { TD } from './td.ts';

interface Field {
  readonly next: bigint;
  /** The word of the TDR page, and whether the next word holds bits 63:32. */
  readonly word: number;
  readonly isWide: boolean;
}

export const NULL_FIELD = 0xffff_ffff_ffff_ffffn;
/** TDR.FATAL. */
export const FIRST_FIELD = 0x8010_0000_0000_0001n;

const ROWS: readonly (readonly [id: bigint, next: bigint, word: number])[] = [
  // TDR
  [FIRST_FIELD, 0x8010_0002_0000_0002n, TD.FATAL],
  [0x8010_0002_0000_0002n, 0x8010_0003_0000_0004n, TD.NUM_TDCX],
  [0x8010_0003_0000_0004n, 0x8010_0002_0000_0005n, TD.CHLDCNT],
  [0x8010_0002_0000_0005n, 0x8010_0003_0000_0010n, TD.LIFECYCLE],
  [0x8110_0001_0000_0001n, 0x8110_0003_0000_0002n, TD.HKID],
  [0x8110_0003_0000_0002n, 0x8210_0001_0000_0000n, TD.PKG_CONFIG_BITMAP],
  // TDCS, management
  [0x9010_0002_0000_0001n, 0x9010_0002_0000_0002n, TD.NUM_VCPUS],
  [0x9010_0002_0000_0002n, 0x9010_0002_0000_0004n, TD.NUM_ASSOC_VCPUS],
  [0x9010_0002_0000_0004n, 0x9010_0001_0000_0005n, TD.OP_STATE],
  [0x9010_0001_0000_0005n, 0x1110_0003_0000_0000n, TD.NUM_L2_VMS],
  // TDCS, execution controls
  [0x1110_0003_0000_0000n, 0x1110_0003_0000_0001n, TD.ATTRIBUTES],
  [0x1110_0003_0000_0001n, 0x1110_0002_0000_0002n, TD.XFAM],
  [0x1110_0002_0000_0002n, 0x1110_0000_0000_0003n, TD.MAX_VCPUS],
  [0x1110_0000_0000_0003n, 0x1110_0003_0000_0004n, TD.GPAW],
  // TDCS, TLB tracking
  [0x9210_0003_0000_0000n, 0x9210_0001_0000_0001n, TD.TD_EPOCH],
];

const WIDE: ReadonlySet<number> = new Set([TD.ATTRIBUTES, TD.XFAM]);

export const METADATA: ReadonlyMap<bigint, Field> = new Map(
  ROWS.map(([id, next, word]) => [id, { next, word, isWide: WIDE.has(word) }]),
);
