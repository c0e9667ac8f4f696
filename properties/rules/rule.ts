import type { Vm, VmKind } from '../../impl/vm/vm.ts';
import type { Rule } from '../../spec/machine/monitor.ts';

/** A rule about a VM: policy, module and guest together. */
export interface VmRule extends Rule<Vm> {
  /** The kinds of VM that it is about; TDs when absent. */
  readonly vms?: readonly VmKind[];
}
