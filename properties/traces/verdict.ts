/** Options and verdict of judging a trace. */
import type { KernelName } from './kernels/names.ts';
import type { Cause } from './rules/rule.ts';

/** Options of the judge of traces. */
export interface TraceOptions {
  /** Version of the traced kernel. By default, its first change of an SPTE shows it. */
  readonly kernel?: KernelName;
  /** Ids of the rules to judge by; all by default. */
  readonly rules?: readonly string[];
  /** Hexadecimal address of the only VM to judge. */
  readonly vm?: string;
  /** Maximum number of violations in the verdict; all are counted. */
  readonly limit?: number;
  /** Is called for each violation that no later event excuses, at once. */
  readonly onViolation?: (violation: TraceViolation) => void;
}

/** A rule violated at a line of a trace. */
export interface TraceViolation {
  /** Id of the rule. */
  readonly rule: string;
  /** The rule's statement. */
  readonly statement: string;
  /** Line, from 1, at which the violation shows. */
  readonly line: number;
  readonly task: string;
  /** Address of the VM; empty if the event names none. */
  readonly vm: string;
  readonly seen: string;
  /** The event in that line. */
  readonly event: string;
  /** Earlier events that explain the violation. */
  readonly causes: readonly Cause[];
}

/** How often a rule was exercised and violated. */
export interface RuleCount {
  readonly exercised: number;
  readonly violated: number;
  /** Reasons why the rule, or some of its violations, were not judged, and how often. */
  readonly notJudged: Readonly<Record<string, number>>;
}

/** What a trace shows about itself: how it was recorded, and what it lacks. */
export interface TraceReading {
  /** Number of CPUs with events. */
  readonly cpus: number;
  /** The only CPU with events; null if there are several or none. */
  readonly cpu: number | null;
  /** Digits of the times of the first and the last event; null if there is none. */
  readonly times: readonly [number, number] | null;
  /** The first line that is no event, or 0. */
  readonly unreadableLine: number;
  /** Number of lost events, where the trace has one. */
  readonly lostEvents: number;
  /** Number of marks that a CPU's events begin here, as earlier ones were overwritten. */
  readonly buffersStarted: number;
  /** Number of overwritten events, by the head of the trace. */
  readonly overwritten: number;
  /** Number of captures that follow the first in the same trace. */
  readonly capturesJoined: number;
  /** Events with an earlier time than the event before, or than that of their CPU before. */
  readonly backwards: {
    readonly times: number;
    readonly ofCpu: number;
    /** Line of the first, or 0. */
    readonly line: number;
  };
  /** The events of one CPU follow those of another: the files of per_cpu/ one after the other. */
  readonly byCpu: boolean;
  /** Number of events whose line does not show if they were emitted in interrupt context. */
  readonly withoutFlags: number;
  /** Number of values that are no numbers, such as `(fault)`, by event and key. */
  readonly notNumbers: Readonly<Record<string, number>>;
  /** Version of the kernel that the probes are of, if it is not the one to judge by. */
  readonly probesOf: KernelName | null;
  /** The last line has no newline, and is not read. */
  readonly cut: boolean;
  /** Why the file could not be read to its end, or null. */
  readonly damaged: string | null;
}

/** Violations of one rule whose `seen` differs in its numbers only. */
export interface TraceGroup {
  readonly rule: string;
  readonly count: number;
  /** Line of the last one. */
  readonly lastLine: number;
  readonly first: TraceViolation;
}

/** Result of judging a trace. */
export interface TraceVerdict {
  /** Null if no event shows it. */
  readonly kernel: KernelName | null;
  /** Every version that it may be: `kernel`, and those whose events are the same so far. */
  readonly kernels: readonly KernelName[];
  /** No known kernel has all of its events: it is judged by what they have in common with it. */
  readonly isUnknownKernel: boolean;
  readonly lines: number;
  readonly events: number;
  /** Number of events of each unknown kind, by name. */
  readonly unknown: Readonly<Record<string, number>>;
  /** Number of lines that are not events. */
  readonly unreadable: number;
  /** Number of times that the kernel reported lost events. */
  readonly lost: number;
  /** Address at which the kernel maps physical memory; null if no event shows it. */
  readonly directMap: string | null;
  /** Number of times that an event showed another such address: the state was then discarded. */
  readonly directMapMoves: number;
  /** Number of fast page faults whose entry is not known. */
  readonly unplacedFaults: number;
  /** Addresses of the VMs in the trace. */
  readonly vms: readonly string[];
  /** The first `limit` violations, by line. */
  readonly violations: readonly TraceViolation[];
  readonly violated: number;
  /** All violations, grouped; the groups by their first line. */
  readonly groups: readonly TraceGroup[];
  readonly rules: Readonly<Record<string, RuleCount>>;
  readonly reading: TraceReading;
}
