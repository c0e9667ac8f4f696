/** An entry of the mirror and its twin in the Secure EPT, by GFN and level in one number. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { entryAt } from '../../../spec/machine/levels.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { PageRef } from '../../../spec/machine/pages.ts';
import type { Call } from '../../../spec/tdx/call.ts';

/** A GFN and a level. */
export type Key = number;

const LEVELS = 8;

/** Key of the entry of `gfn` at `level`. */
export const keyOf = (gfn: number, level: number): Key => gfn * LEVELS + level;
/** First GFN of an entry. */
export const gfnOfKey = (key: Key): number => Math.floor(key / LEVELS);
/** Level of an entry. */
export const levelOfKey = (key: Key): number => key % LEVELS;

/** The entry's name in reports, e.g. `0@2M`. */
export const nameOfKey = (key: Key): string => entryAt(gfnOfKey(key), levelOfKey(key));

/** First GFN of the entry that a call's RCX names. */
export const gfnOfCall = (call: Call): number => Math.floor(call.in.rcx / PAGE_BYTES);

/** Level of the entry that a call's RCX names. */
export const levelOfCall = (call: Call): number => call.in.rcx % LEVELS;

/** The entry that a call's RCX names. */
export const keyOfCall = (call: Call): Key => keyOf(gfnOfCall(call), levelOfCall(call));

/** The entry at an index of a mirror table. */
export const keyOfPlace = ({ mirror }: Vm, table: PageRef, index: number): Key =>
  keyOf(mirror.gfnOf(table, index), mirror.levelOf(table));
