/**
 * Key ownership: the KOT (the state of each HKID), the per-package write-back state of
 * TDH.PHYMEM.CACHE.WB (WBT), and the lock of the processor's key table (KET).
 *
 * Source: intel/tdx-module 1.5.01, src/common/data_structures/tdx_global_data.h: kot_t,
 * wbt_entry_t; src/common/helpers/helpers.c: program_mktme_keys();
 * docs/module-notes.md#key-ownership.
 */
import type { Cell, Machine } from '../machine/machine.ts';

export const HKID_FREE = 0;
export const HKID_RESERVED = 1;
export const HKID_KOT_ASSIGNED = 2;
export const HKID_FLUSHED = 3;
export const KOT_STATES = ['HKID_FREE', 'HKID_RESERVED', 'HKID_ASSIGNED', 'HKID_FLUSHED'] as const;

/** Number of words of a package before its flags, one flag for each HKID. */
const WBT_FLAGS = 2;

/** The part of the platform that keys depend on. */
interface KeyPlatform {
  readonly privateHkids: readonly [number, number];
  readonly packages: number;
}

/** The key ownership table: states of HKIDs. */
export class KeyOwnership {
  readonly first: number;
  readonly last: number;
  /** The private HKIDs, ascending. */
  readonly hkids: readonly number[];
  /**
   * One bit for each package: WBINVD_BITMAP of an HKID that no package has written back, and
   * PKG_CONFIG_BITMAP of a key that every package has.
   */
  readonly allPackages: number;
  readonly lock: Cell;
  readonly ketLock: Cell;
  private readonly entries: Cell;
  private readonly wbt: Cell;
  private readonly perPackage: number;
  private readonly packages: number;

  constructor(m: Machine, platform: KeyPlatform) {
    [this.first, this.last] = platform.privateHkids;
    this.hkids = Array.from({ length: this.last - this.first + 1 }, (_, i) => this.first + i);
    this.packages = platform.packages;
    this.allPackages = (1 << platform.packages) - 1;
    this.perPackage = WBT_FLAGS + this.hkids.length;
    this.lock = m.segment('KOT', 1, () => 'KOT');
    this.ketLock = m.segment('KET', 1, () => 'KET(hardware)');
    this.entries = m.segment(
      'KOT entries',
      this.hkids.length * 2,
      (i) => `KOT[${this.first + (i >> 1)}]`,
    );
    const length = this.packages * this.perPackage;
    this.wbt = m.segment('WBT', length, (i) => `WBT[pkg ${Math.floor(i / this.perPackage)}]`);
    m.poke(this.state(this.first), HKID_RESERVED);
  }

  isPrivate(hkid: number): boolean {
    return hkid >= this.first && hkid <= this.last;
  }

  /** State of a private HKID. */
  state(hkid: number): Cell {
    return this.entries + (hkid - this.first) * 2;
  }

  /** One bit for each package that has not written its caches back for this HKID. */
  wbinvdBitmap(hkid: number): Cell {
    return this.state(hkid) + 1;
  }

  /** The package of a logical processor. */
  packageOf(lp: number): number {
    return lp % this.packages;
  }

  wbtLock(pkg: number): Cell {
    return this.wbt + pkg * this.perPackage;
  }

  /** Number of sub-blocks that an interrupted session has written back, or 0. */
  intrPoint(pkg: number): Cell {
    return this.wbtLock(pkg) + 1;
  }

  /** Whether `hkid` was FLUSHED when the package's session started. */
  inSession(pkg: number, hkid: number): Cell {
    return this.wbtLock(pkg) + WBT_FLAGS + (hkid - this.first);
  }
}
