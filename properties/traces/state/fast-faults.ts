/**
 * Finds the table of a fast page fault. Its event names the entry by a pointer, which the kernel
 * prints hashed unless the option hash-ptr of tracefs is off. The entry then follows from the root
 * and the address of the fault.
 */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { TraceEvent } from '../reader/event.ts';
import { indexOfAddress } from './addresses.ts';
import { leafTable } from './resolve.ts';
import { indexOf } from './spte.ts';
import type { Table } from './table.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

/** Whether the event has a hash in place of the entry's address: 32 bits, and no kernel address. */
const isHashed = (e: TraceEvent): boolean => e.high('sptep') >= 0;

/** GFN of the fault: its event has the address in the guest's physical memory. */
export const gfnOfFault = (e: TraceEvent): number => Math.floor(e.number('gva') / PAGE_BYTES);

/** Returns the table of the entry that a fast page fault has changed; null when it is not known. */
export function tableOfFault(world: World, e: TraceEvent, task: Task): Table | null {
  if (isHashed(e)) {
    const root = rootOfFault(world, task);
    return root === null ? null : leafTable(world, root, gfnOfFault(e));
  }
  const sptep = e.number('sptep');
  if (!world.directMap.isConfirmed)
    world.directMap.seeOneOf(e, sptep - (sptep % PAGE_BYTES), framesOfFault(world, e));
  return world.tableOf(sptep) ?? null;
}

/** Index, in that table, of the entry. */
export const indexOfFault = (e: TraceEvent, { level }: Table): number =>
  isHashed(e) ? indexOf(gfnOfFault(e), level) : indexOfAddress(e.number('sptep'));

/** The root that the vCPU walks; without its probe, the only one that it can be. */
function rootOfFault(world: World, task: Task): Table | null {
  if (task.faultRoot > 0) return world.rootOf(task.faultRoot) ?? null;
  if (world.hasSeen('fpf')) return null;
  const [root, ...others] = validRoots(task.runs);
  return others.length === 0 ? (root ?? null) : null;
}

const validRoots = (vm: Vm | null): Table[] =>
  vm === null || !vm.seenFromStart ? [] : vm.roots.filter(({ invalid }) => !invalid);

/** Frames of the tables that have an entry for the fault at that place of their page. */
function* framesOfFault(world: World, e: TraceEvent): Generator<number> {
  const [gfn, index] = [gfnOfFault(e), indexOfAddress(e.number('sptep'))];
  for (const table of world.tables.values()) {
    const { frame, level } = table;
    if (frame >= 0 && table.isLive && table.covers(gfn) && indexOf(gfn, level) === index)
      yield frame;
  }
}
