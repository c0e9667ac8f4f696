/** Shapes of the random scenarios of each kind of VM. */
import type { Policy } from '../../impl/vm/policy.ts';
import { USED_PAGES } from '../../impl/vm/size.ts';
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

const SHAPES: readonly Shape[] = [
  TD_SHAPE,
  CONTENDED_TD_SHAPE,
  CONTENDED_TD_SHAPE,
  DISTURBED_TD_SHAPE,
  NEW_TD_SHAPE,
  CONTENDED_NEW_TD_SHAPE,
  VM_SHAPE,
];

/** Shapes for the kinds of VM that a policy runs. */
export const shapesOf = ({ vms }: Policy): readonly Shape[] =>
  SHAPES.filter(({ vm }) => vms.includes(vm));
