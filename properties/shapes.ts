/** What random histories of each kind of VM are made of. */
import { USED_PAGES } from '../impl/platform.ts';
import type { Policy } from '../impl/policy.ts';
import type { Shape } from './histories/arbitrary.ts';

/** Three actors, a few operations each, few preemptions: where the races of a page table live. */
export const TD_SHAPE: Shape = {
  vm: 'td',
  roles: ['vcpu', 'vcpu', 'host'],
  operations: {
    vcpu: ['touch', 'touch', 'touch', 'read', 'accept', 'accept-huge', 'idle'],
    host: [
      'unmap', 'unmap', 'unmap', 'unmap', 'remove-table', 'remove-table', 'remove-slot', 'promote', 'demote', 'demote',
      'split-folio', 'merge-folio', 'interrupt', 'interrupt-storm',
    ],
  },
  maxOperations: 4,
  gfns: USED_PAGES,
  maxDeviations: 4,
  maxStep: 160,
};

const SHAPES: readonly Shape[] = [TD_SHAPE];

/** The shapes of the VMs that a policy runs. */
export const shapesOf = ({ vms }: Policy): readonly Shape[] => SHAPES.filter(({ vm }) => vms.includes(vm));
