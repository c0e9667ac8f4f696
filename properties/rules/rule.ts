/** Rules about a VM: policy, module and guest together. */
import type { Vm, VmKind } from '../../impl/vm/vm.ts';
import type { Rule } from '../../spec/machine/monitor.ts';

/** A rule about a VM, with its monitor. */
export interface VmRule extends Rule<Vm> {
  /** The kinds of VM that the rule is about; {@link TD_KINDS} when absent. */
  readonly vms?: readonly VmKind[];
}

/** The kinds of VM that are TDs. */
export const TD_KINDS: readonly VmKind[] = ['td', 'new-td'];

/**
 * A monitor for TDs of a rule that spec/kvm/rules has with a monitor for ordinary VMs. The rest of
 * the rule is taken from there.
 */
export type TdMonitor = Pick<VmRule, 'id' | 'level' | 'watch'> & {
  readonly vms: readonly VmKind[];
};
