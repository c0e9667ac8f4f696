/** The type of K rules about direct roots. */
import type { Rule } from '../../machine/monitor.ts';
import type { Kvm } from '../kvm.ts';

/** A rule about KVM's side of an ordinary VM. */
export type KvmRule = Rule<Kvm>;
