/** Decodes what events carry: addresses of tables and of their entries, and roles of tables. */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { MIRROR_ROLE } from '../kernels/kernel.ts';
import type { TraceEvent } from '../reader/event.ts';

const ENTRY_BYTES = 8;

/** Lowest level that a root has. */
export const ROOT_LEVEL = 4;

/** Frame of a physical address. */
export const frameOfPhysical = (address: number): number => Math.floor(address / PAGE_BYTES);

/** Index, in its table, of the entry at an address. */
export const indexOfAddress = (address: number): number => (address % PAGE_BYTES) / ENTRY_BYTES;

const AS_ID_SHIFT = 24;

/** Address space and level of a table, from its role. Levels count from 1. */
export const asIdOf = (e: TraceEvent): number => (e.low('role') >>> AS_ID_SHIFT) & 0xff;
export const levelOf = (e: TraceEvent): number => e.low('role') & 0xf;

/** Whether the table belongs to a mirror. */
export const isOfMirror = (e: TraceEvent): boolean => (e.low('role') & MIRROR_ROLE) !== 0;
