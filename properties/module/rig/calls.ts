/** The raw calls of VMM threads and guests, by the names of operations in scenarios. */
import type { Operands } from '../../../spec/tdx/call.ts';
import type { Layout } from './layout.ts';

/** HPA of a page in shared memory. */
export const SOURCE = 0x1000_0000;

/** A function and its operands. The LP is the thread's own unless the operands name one. */
export type Made = readonly [string, Partial<Operands>];
/** A call of a thread of the VMM, on a TD. */
export type HostCall = (td: Layout, gfn: number) => Made;
/** An operation of such a thread: a call, or several one after the other. */
export type HostOperation = (td: Layout, gfn: number) => Made | readonly Made[];

/** A call with a GPA and a level. */
const onEntry =
  (name: string, level: number): HostCall =>
  (rig, gfn) => [name, rig.mapping(gfn, level)];
/** A call with a GPA, a level, and a page in R8. */
const withPage =
  (name: string, level: number, page: (rig: Layout, gfn: number) => number): HostCall =>
  (rig, gfn) => [name, { ...rig.mapping(gfn, level), r8: rig.address(page(rig, gfn)), r9: SOURCE }];

const own = (rig: Layout, gfn: number): number => rig.pageOf(gfn);
/** The page of the neighbouring GFN, which may be in use. */
const others = (rig: Layout, gfn: number): number => rig.pageOf(gfn ^ 1);
const table = (rig: Layout, gfn: number): number => rig.tablePage(gfn, 1);

export const HOST_CALLS: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['add', withPage('TDH.MEM.PAGE.ADD', 0, own)],
  ['aug', withPage('TDH.MEM.PAGE.AUG', 0, own)],
  ['aug-other', withPage('TDH.MEM.PAGE.AUG', 0, others)],
  ['aug-huge', withPage('TDH.MEM.PAGE.AUG', 1, (rig, gfn) => rig.pageOf(gfn, 1))],
  ['remove', onEntry('TDH.MEM.PAGE.REMOVE', 0)],
  ['remove-huge', onEntry('TDH.MEM.PAGE.REMOVE', 1)],
  ['relocate', withPage('TDH.MEM.PAGE.RELOCATE', 0, (rig, gfn) => rig.sparePage(gfn))],
  ['block', onEntry('TDH.MEM.RANGE.BLOCK', 0)],
  ['block-huge', onEntry('TDH.MEM.RANGE.BLOCK', 1)],
  ['unblock', onEntry('TDH.MEM.RANGE.UNBLOCK', 0)],
  ['unblock-huge', onEntry('TDH.MEM.RANGE.UNBLOCK', 1)],
  ['promote', onEntry('TDH.MEM.PAGE.PROMOTE', 1)],
  [
    'demote',
    (rig, gfn) => {
      const [r12, r13] = rig.pairOf(rig.pageOf(gfn));
      const mapping = rig.mapping(gfn, 1);
      return ['TDH.MEM.PAGE.DEMOTE', { ...mapping, r8: rig.address(table(rig, gfn)), r12, r13 }];
    },
  ],
  ['sept-add', withPage('TDH.MEM.SEPT.ADD', 1, table)],
  ['sept-add-other', withPage('TDH.MEM.SEPT.ADD', 1, (rig, gfn) => table(rig, gfn ^ 2))],
  ['sept-remove', onEntry('TDH.MEM.SEPT.REMOVE', 1)],
  ['sept-rd', onEntry('TDH.MEM.SEPT.RD', 0)],
  ['read', onEntry('TDH.MEM.RD', 0)],
  ['extend', onEntry('TDH.MR.EXTEND', 0)],
  ['track', (rig) => ['TDH.MEM.TRACK', { rcx: rig.mapping(0, 0).rdx }]],
  ['finalize', (rig) => ['TDH.MR.FINALIZE', { rcx: rig.mapping(0, 0).rdx }]],
]);

/** The range of 2M with the page that backs `gfn`, as an operand. */
const rangeOf = (rig: Layout, gfn: number): number => rig.address(rig.pageOf(gfn, 1)) + 1;

/** Calls of modules with dynamic PAMT, for the range of the page. */
export const PAMT_CALLS: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  [
    'pamt-add',
    (rig, gfn) => {
      const [rdx, r8] = rig.pairOf(rig.pageOf(gfn));
      return ['TDH.PHYMEM.PAMT.ADD', { rcx: rangeOf(rig, gfn), rdx, r8 }];
    },
  ],
  ['pamt-remove', (rig, gfn) => ['TDH.PHYMEM.PAMT.REMOVE', { rcx: rangeOf(rig, gfn) }]],
]);

/** An access of the guest to its memory. */
export const GUEST_ACCESS = 'HW.GUEST.ACCESS';
/** The operation that accesses a page in the guest. */
export const TOUCH = 'touch';
/** The guest's operations: the function of the module for each, and its level. */
export const GUEST_CALLS: ReadonlyMap<string, readonly [string, number]> = new Map([
  ['accept', ['TDG.MEM.PAGE.ACCEPT', 0]],
  ['accept-huge', ['TDG.MEM.PAGE.ACCEPT', 1]],
  [TOUCH, [GUEST_ACCESS, 0]],
]);
/** The operation that makes a vCPU leave the TD. */
export const LEAVE = 'leave';
/** The operation that yields to the other actors. */
export const IDLE = 'idle';
