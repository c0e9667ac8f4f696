import type { Vm } from '../../impl/vm.ts';
import type { Rule } from '../../spec/machine/monitor.ts';

/** A rule about a VM: policy, module and guest together. */
export type VmRule = Rule<Vm>;
