/**
 * Key ownership: the KOT (which HKID is free, assigned or flushed), the per-package write-back state of
 * TDH.PHYMEM.CACHE.WB (WBT), and the lock of the processor's key table (KET).
 *
 * Source: TDX-LIFECYCLE notes §1; `final.kot` and `final.wbt` of the life-cycle recordings.
 */
import type { Cell, Machine } from '../machine/machine.ts';

export const HKID_FREE = 0;
export const HKID_RESERVED = 1;
export const HKID_KOT_ASSIGNED = 2;
export const HKID_FLUSHED = 3;
export const KOT_STATES = ['HKID_FREE', 'HKID_RESERVED', 'HKID_ASSIGNED', 'HKID_FLUSHED'] as const;

/** The part of the platform that keys depend on. */
interface KeyPlatform {
  readonly privateHkids: readonly [number, number];
  readonly packages: number;
}

export class KeyOwnership {
  readonly first: number;
  readonly last: number;
  readonly lock: Cell;
  readonly ketLock: Cell;
  private readonly entries: Cell;
  private readonly wbt: Cell;
  private readonly count: number;

  constructor(m: Machine, platform: KeyPlatform) {
    [this.first, this.last] = platform.privateHkids;
    this.count = this.last - this.first + 1;
    this.lock = m.segment('KOT', 1, () => 'KOT');
    this.ketLock = m.segment('KET', 1, () => 'KET(hardware)');
    this.entries = m.segment('KOT entries', this.count * 2, (i) => `KOT[${this.first + (i >> 1)}]`);
    const perPackage = 3 + this.count;
    this.wbt = m.segment('WBT', platform.packages * perPackage, (i) => `WBT[pkg ${Math.floor(i / perPackage)}]`);
    m.poke(this.state(this.first), HKID_RESERVED);
  }

  isPrivate(hkid: number): boolean {
    return hkid >= this.first && hkid <= this.last;
  }

  /** State of a private HKID. */
  state(hkid: number): Cell {
    return this.entries + (hkid - this.first) * 2;
  }

  /** One bit per package whose caches still have to be written back for this HKID. */
  wbinvdBitmap(hkid: number): Cell {
    return this.state(hkid) + 1;
  }

  private package(pkg: number): Cell {
    return this.wbt + pkg * (3 + this.count);
  }

  wbtLock(pkg: number): Cell {
    return this.package(pkg);
  }

  /** Sub-blocks done so far of an interrupted session, or 0. */
  intrPoint(pkg: number): Cell {
    return this.package(pkg) + 1;
  }

  /** Whether `hkid` was FLUSHED when the package's session started. */
  inSession(pkg: number, hkid: number): Cell {
    return this.package(pkg) + 3 + (hkid - this.first);
  }
}
