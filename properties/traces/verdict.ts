/** What judging a trace takes and answers. */
import type { KernelVersion } from '../../spec/kvm/layouts/table.ts';
import type { Cause } from './rules/rule.ts';

export interface TraceOptions {
  /** Of which kernel the trace is; recognised by its first change of an SPTE when absent. */
  readonly kernel?: KernelVersion;
  /** Only these rules, by id. */
  readonly rules?: readonly string[];
  /** Only the VM at this address, hexadecimal. */
  readonly vm?: string;
  /** How many violations are kept with what belongs to them; all are counted. */
  readonly limit?: number;
}

export interface TraceViolation {
  readonly rule: string;
  /** What the rule says. */
  readonly statement: string;
  /** 1-based line at which it shows. */
  readonly line: number;
  readonly task: string;
  /** Address of the VM; empty when there is none. */
  readonly vm: string;
  readonly seen: string;
  /** The event of that line. */
  readonly event: string;
  /** Earlier events that matter. */
  readonly causes: readonly Cause[];
}

export interface RuleCount {
  readonly exercised: number;
  readonly violated: number;
  /** Why it could not be judged, as often as that was; or why not at all. */
  readonly notJudged: Readonly<Record<string, number>>;
}

export interface TraceVerdict {
  /** Null when no event tells. */
  readonly kernel: KernelVersion | null;
  readonly lines: number;
  readonly events: number;
  /** Events of kinds that are not known, by name. */
  readonly unknown: Readonly<Record<string, number>>;
  /** Lines that are no events. */
  readonly unreadable: number;
  /** How often the kernel said that it lost events. */
  readonly lost: number;
  /** Addresses of the VMs that it tells of. */
  readonly vms: readonly string[];
  /** By line. The first `limit`. */
  readonly violations: readonly TraceViolation[];
  readonly violated: number;
  readonly rules: Readonly<Record<string, RuleCount>>;
}
