/** Shapes of the random scenarios of each kind of VM. */
import type { Policy } from '../../impl/vm/policy.ts';
import { DEFAULT_TREE, isSameTree, sizesOf, USED_PAGES, type Tree } from '../../impl/vm/size.ts';
import type { Shape } from './scenarios/arbitrary.ts';

/** Three actors, a few operations each, few preemptions: enough for the races of a page table. */
export const TD_SHAPE: Shape = {
  vm: 'td',
  roles: ['vcpu', 'vcpu', 'host'],
  operations: {
    vcpu: [
      'touch',
      'touch',
      'read',
      'accept',
      'accept',
      'accept-huge',
      'accept-huge',
      'idle',
      'idle',
    ],
    host: [
      'unmap',
      'unmap',
      'unmap',
      'unmap',
      'remove-table',
      'remove-table',
      'remove-slot',
      'promote',
      'promote',
      'promote',
      'demote',
      'split-folio',
      'merge-folio',
      'interrupt',
      'interrupt-storm',
    ],
  },
  maxOperations: 4,
  gfns: USED_PAGES,
  maxDeviations: 6,
  maxStep: 160,
};

/** Two vCPUs, two host threads, and every request to KVM about the memory of an ordinary VM. */
export const VM_SHAPE: Shape = {
  vm: 'vm',
  roles: ['vcpu', 'vcpu', 'host', 'host'],
  operations: {
    vcpu: [
      'touch',
      'touch',
      'touch',
      'touch',
      'read',
      'read',
      'exec',
      'exec',
      'smm-touch',
      'smm-exec',
      'nested-touch',
      'nested-touch',
      'nested-read',
      'shadow-touch',
      'shadow-touch',
      'idle',
      'prefault',
      'legacy-read',
    ],
    host: [
      'unmap',
      'unmap',
      'unmap',
      'unmap-atomic',
      'punch',
      'zap-range',
      'zap-all',
      'zap-all',
      'age',
      'age',
      'protect',
      'split-folio',
      'merge-folio',
      'to-private',
      'to-private',
      'to-shared',
      'close-memfd',
      'recover-nx',
      'recover-nx',
      'create-slot',
      'create-slot',
      'delete-slot',
      'move-slot',
      'read-only',
      'log',
      'log',
      'log',
      'collect',
      'unlog',
      'unlog',
      'track',
      'untrack',
      'signal',
    ],
  },
  maxOperations: 10,
  gfns: 8,
  maxDeviations: 6,
  maxStep: 120,
};

/**
 * Two vCPUs accept one page, or the large page around it, while the host zaps it: they contend for
 * entry locks.
 */
const CONTENDED_TD_SHAPE: Shape = {
  ...TD_SHAPE,
  operations: {
    vcpu: ['accept', 'accept-huge', 'accept-huge'],
    host: ['unmap', 'unmap', 'unmap', 'remove-table', 'promote'],
  },
  gfns: 1,
};

/**
 * A TD meets what is outside its page tables: events, signals, conversions, the deletion of its
 * memslot, SEAMCALLs that fail.
 */
const DISTURBED_TD_SHAPE: Shape = {
  ...TD_SHAPE,
  // few pages, so that a zap finds what a fault has mapped
  gfns: 2,
  roles: ['vcpu', 'vcpu', 'host', 'host'],
  operations: {
    vcpu: ['touch', 'touch', 'read', 'read', 'accept', 'idle', 'touch-no-ve'],
    host: [
      'unmap',
      'unmap',
      'unmap',
      'unmap',
      'remove-slot',
      'share',
      'unshare',
      'event',
      'signal',
      'fail-seamcall',
      'create-vcpu',
    ],
  },
};

/** A TD is built, and may run before the scenario ends. */
const NEW_TD_SHAPE: Shape = {
  vm: 'new-td',
  roles: ['host', 'host', 'vcpu', 'vcpu'],
  operations: {
    vcpu: ['pre-fault', 'pre-fault', 'touch', 'read'],
    host: [
      'init-vcpu',
      'add-memory',
      'add-memory',
      'finalize',
      'finalize',
      'unmap',
      'unmap',
      'remove-slot',
      'fail-seamcall',
    ],
  },
  maxOperations: 3,
  gfns: 3,
  maxDeviations: 6,
  maxStep: 60,
  lengths: {
    'init-vcpu': 140,
    'add-memory': 80,
    finalize: 26,
    unmap: 80,
    'remove-slot': 90,
    'fail-seamcall': 2,
    'pre-fault': 72,
    touch: 136,
    read: 136,
  },
};

/** Ioctls that build a TD contend for its TDR with each other and with a hole that is punched. */
const CONTENDED_NEW_TD_SHAPE: Shape = {
  ...NEW_TD_SHAPE,
  roles: ['host', 'host', 'host'],
  operations: {
    ...NEW_TD_SHAPE.operations,
    host: ['init-vcpu', 'init-vcpu', 'add-memory', 'finalize', 'unmap', 'unmap', 'fail-seamcall'],
  },
  gfns: 2,
};

/** A table is filled, merged and split, which is rare where a guest has many pages. */
const fullTableShape = ({ fanout }: Tree): Shape => ({
  ...TD_SHAPE,
  operations: {
    vcpu: ['touch', 'touch', 'touch', 'accept', 'idle'],
    host: ['promote', 'promote', 'demote', 'split-folio', 'interrupt', 'interrupt-storm'],
  },
  maxOperations: 2 + 2 * fanout,
  gfns: fanout,
});

const SHAPES: readonly Shape[] = [
  TD_SHAPE,
  CONTENDED_TD_SHAPE,
  CONTENDED_TD_SHAPE,
  DISTURBED_TD_SHAPE,
  NEW_TD_SHAPE,
  CONTENDED_NEW_TD_SHAPE,
  VM_SHAPE,
];

/** Shapes for the kinds of VM that a policy runs, and for the tree of their page tables. */
export const shapesOf = ({ vms }: Policy, tree: Tree = DEFAULT_TREE): readonly Shape[] =>
  shapesIn(tree).filter(({ vm }) => vms.includes(vm));

const shapesIn = (tree: Tree): readonly Shape[] =>
  isSameTree(tree, DEFAULT_TREE)
    ? SHAPES
    : [...SHAPES, fullTableShape(tree)].map((shape) => shapeIn(tree, shape));

/**
 * The shape in another tree: operations on GFNs below every entry of the root's first path, on as
 * many pages as a table has, and as late as a fault that adds a table on each level.
 */
function shapeIn(tree: Tree, shape: Shape): Shape {
  const { levels, fanout, rootLevel } = sizesOf(tree);
  const gfnAt = shape.vm === 'vm' ? gfnsOfAVm(fanout) : gfnsOfATd(tree);
  const later = (step: number): number => Math.round((step * levels) / DEFAULT_TREE.levels);
  const longer = (lengths: Readonly<Record<string, number>>): Record<string, number> =>
    Object.fromEntries(Object.entries(lengths).map(([name, length]) => [name, later(length)]));
  return {
    ...shape,
    tree,
    gfns: shape.gfns < USED_PAGES ? shape.gfns : gfnAt.length,
    gfnAt,
    maxPages: fanout,
    maxLevel: rootLevel,
    maxStep: later(shape.maxStep),
    ...(shape.lengths === undefined ? {} : { lengths: longer(shape.lengths) }),
  };
}

/** The GFNs of the first table, and the first where each entry beside the first path begins. */
function gfnsOfATd(tree: Tree): readonly number[] {
  const { fanout, usedPages } = sizesOf(tree);
  const gfns = Array.from({ length: fanout }, (_, gfn) => gfn);
  for (let first = fanout; first < usedPages; first *= fanout) gfns.push(first);
  return gfns;
}

/** The GFNs of the first memslot, the hole behind it, and two at each further memslot. */
function gfnsOfAVm(fanout: number): readonly number[] {
  const first = Array.from({ length: fanout + 2 }, (_, gfn) => gfn);
  return [...first, ...[2, 3].flatMap((slot) => [slot * fanout, slot * fanout + 1])];
}
