/**
 * Leaves in tables that the hardware keeps no A bits in: aging takes all permissions from one and
 * saves them in bits that nobody looks at, and the next fault gives them back, both without
 * mmu_lock. Source: spte.c, mark_spte_for_access_track; spte.h, restore_acc_track_spte.
 */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import type { Permissions, SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { has } from './spte.ts';

const NAMES = [
  'readable',
  'executable',
  'userExecutable',
] as const satisfies readonly (keyof Permissions)[];

const isSet = ({ hi, lo }: Halves): boolean => hi !== 0 || lo !== 0;

/** The SPTE with the permissions that are in `from` moved to where `to` has them. */
function moved(from: Permissions, to: Permissions, { hi, lo }: Halves): Halves {
  let word = { hi, lo };
  for (const name of NAMES) {
    const [source, target] = [from[name], to[name]];
    if (!has(source, hi, lo)) continue;
    word = { hi: (word.hi & ~source.hi) | target.hi, lo: (word.lo & ~source.lo) | target.lo };
  }
  return word;
}

/** All permissions of the leaf are taken away, and saved. */
export const isTracked = (
  { granted, saved, writable }: SpteLayout,
  hi: number,
  lo: number,
): boolean =>
  isSet(saved.readable) &&
  has(saved.readable, hi, lo) &&
  !has(granted.readable, hi, lo) &&
  !has(writable, hi, lo);

/** What aging makes of a leaf. */
export function tracked(
  { accessed, granted, saved, writable }: SpteLayout,
  hi: number,
  lo: number,
): Halves {
  const word = moved(granted, saved, { hi, lo });
  return { hi: word.hi & ~(writable.hi | accessed.hi), lo: word.lo & ~(writable.lo | accessed.lo) };
}

/** What a fault makes of such a leaf, but for W. */
export function restored({ accessed, granted, saved }: SpteLayout, hi: number, lo: number): Halves {
  const word = moved(saved, granted, { hi, lo });
  return { hi: word.hi | accessed.hi, lo: word.lo | accessed.lo };
}

/** A change that aging may make where there is no A bit. */
export function isTracking(
  layout: SpteLayout,
  oldHi: number,
  oldLo: number,
  newHi: number,
  newLo: number,
): boolean {
  if (!isTracked(layout, newHi, newLo)) return false;
  const { hi, lo } = tracked(layout, oldHi, oldLo);
  return hi === newHi && lo === newLo;
}
