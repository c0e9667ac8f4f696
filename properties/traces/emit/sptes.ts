/** Converts entries of a model's tables to the 64 bits that a kernel would write. */
import { encodeSpte } from '../../../spec/kvm/layouts/encode.ts';
import { NO_SPTE, type SpteFields } from '../../../spec/kvm/layouts/fields.ts';
import { LAYOUTS } from '../../../spec/kvm/layouts/table.ts';
import {
  ACCESS_TRACKED,
  ACCESSED,
  DIRTY,
  EXECUTABLE,
  FROZEN_KIND,
  HOST_WRITABLE,
  kindOfSpte,
  LEAF,
  MMIO,
  MMU_WRITABLE,
  pageOfSpte,
  TABLE,
  WRITABLE,
  type Spte,
} from '../../../spec/kvm/spte.ts';
import type { AddressMap } from './address-map.ts';

/** Layout of the newest kernel, on a processor that can have TDX. */
const LAYOUT = LAYOUTS['7.3'].ept;

const WRITE_BACK = 6;
const PERMISSIVE = {
  readable: true,
  writable: true,
  executable: true,
  userExecutable: true,
  user: true,
} as const;

/**
 * Returns an entry in hexadecimal. `level` counts from 1. `adDisabled`: the hardware keeps no A and
 * D bits in the tables of the entry's root.
 */
export function spteText(
  spte: Spte,
  level: number,
  addresses: AddressMap,
  adDisabled = false,
): string {
  return `0x${encodeSpte(LAYOUT, fieldsOf(spte, level, addresses, adDisabled)).toString(16)}`;
}

function fieldsOf(
  spte: Spte,
  level: number,
  addresses: AddressMap,
  adDisabled: boolean,
): SpteFields {
  const adType = adDisabled ? 'disabled' : 'enabled';
  switch (kindOfSpte(spte)) {
    case FROZEN_KIND:
      return { ...NO_SPTE, kind: 'frozen' };
    case MMIO:
      return { ...NO_SPTE, kind: 'mmio', generation: pageOfSpte(spte) };
    case TABLE:
      return {
        ...NO_SPTE,
        ...PERMISSIVE,
        kind: 'table',
        pfn: addresses.frameOfTable(pageOfSpte(spte)),
        adType,
        accessed: !adDisabled,
      };
    case LEAF: {
      const has = (flag: number): boolean => (spte & flag) !== 0;
      const executable = has(EXECUTABLE);
      return {
        ...NO_SPTE,
        ...PERMISSIVE,
        kind: 'leaf',
        pfn: addresses.frame(pageOfSpte(spte)),
        adType,
        large: level > 1,
        accessTracked: has(ACCESS_TRACKED),
        executable,
        userExecutable: executable,
        writable: has(WRITABLE),
        mmuWritable: has(MMU_WRITABLE),
        hostWritable: has(HOST_WRITABLE),
        accessed: has(ACCESSED),
        dirty: has(DIRTY),
        memoryType: WRITE_BACK,
        ignorePat: true,
      };
    }
    default:
      return NO_SPTE;
  }
}
