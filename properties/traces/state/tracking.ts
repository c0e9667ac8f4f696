/**
 * Access tracking of leaves in tables without A bits: aging moves all permissions of a leaf to bits
 * that the hardware ignores, and the next fault restores them, both without mmu_lock. Source:
 * spte.c, mark_spte_for_access_track; spte.h, restore_acc_track_spte.
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

/** Returns the SPTE with its permissions moved from the bits of `from` to those of `to`. */
function moved(from: Permissions, to: Permissions, { hi, lo }: Halves): Halves {
  let word = { hi, lo };
  for (const name of NAMES) {
    const [source, target] = [from[name], to[name]];
    if (!has(source, hi, lo)) continue;
    word = { hi: (word.hi & ~source.hi) | target.hi, lo: (word.lo & ~source.lo) | target.lo };
  }
  return word;
}

/** Whether all permissions of the leaf are saved, and none is granted. */
export const isTracked = (
  { granted, saved, writable }: SpteLayout,
  hi: number,
  lo: number,
): boolean =>
  isSet(saved.readable) &&
  has(saved.readable, hi, lo) &&
  !has(granted.readable, hi, lo) &&
  !has(writable, hi, lo);

/** Returns a leaf as aging leaves it. */
function tracked(
  { accessed, granted, saved, writable }: SpteLayout,
  hi: number,
  lo: number,
): Halves {
  const word = moved(granted, saved, { hi, lo });
  return { hi: word.hi & ~(writable.hi | accessed.hi), lo: word.lo & ~(writable.lo | accessed.lo) };
}

/** Returns such a leaf as a fault restores it, without W. */
export function restored({ accessed, granted, saved }: SpteLayout, hi: number, lo: number): Halves {
  const word = moved(saved, granted, { hi, lo });
  return { hi: word.hi | accessed.hi, lo: word.lo | accessed.lo };
}

/** Whether aging may make this change in a table without A bits. */
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
