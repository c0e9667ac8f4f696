/**
 * The form of Secure EPT entries outside the specification: raw, as memory holds them, and as
 * registers report them. Inside, an entry is packed (entry.ts).
 *
 * Source: intel/tdx-module 1.5.01, src/common/x86_defs/x86_defs.h: ia32e_sept_t; the same of 1.0.03
 * (versions/v1.0/encoding.ts).
 */
import {
  fromRaw,
  RAW_HOST_PRIORITY,
  RAW_LOCK,
  stateCode,
  toArchitectural,
  toRaw,
  type Entry,
  type EntryState,
} from './entry.ts';

/** How a version of the module encodes entries. */
export interface EntryEncoding {
  /**
   * The raw entry. `base` is the HPA (bytes) of page number 0; `ve`: a pending page of this TD
   * causes a #VE (SEPT_VE_DISABLE is 0).
   */
  toRaw(e: Entry, base: bigint, ve: boolean): bigint;
  /** The packed form of a raw entry, or null when no state has these bits. */
  fromRaw(raw: bigint, base: bigint): Entry | null;
  /** RCX of functions that report an entry. */
  toRegister(e: Entry, base: bigint, ve: boolean): bigint;
  /** Code of a state in RDX bits 15:8 of functions that report an entry. */
  stateCode(state: EntryState): number;
  /** Raw bits of locks, and of requests for them. */
  readonly lockBits: bigint;
  /** RCX shows the progress of ACCEPT. */
  readonly showsProgress: boolean;
  /** An entry of level 0 counts as a leaf even when it is FREE. */
  readonly level0IsLeaf: boolean;
}

/** 1.5: a state is bits of its own, and #VE does not show in an entry. */
export const ENCODING_1_5: EntryEncoding = {
  toRaw,
  fromRaw,
  toRegister: toArchitectural,
  stateCode,
  lockBits: RAW_LOCK | RAW_HOST_PRIORITY,
  showsProgress: true,
  level0IsLeaf: false,
};
