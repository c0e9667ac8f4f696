/** Judges a trace by the K rules, event by event. */
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { TRACED_KERNELS } from './kernels/kernel.ts';
import type { KernelVersion } from '../../spec/kvm/layouts/table.ts';
import { TraceEvent } from './reader/event.ts';
import { TRACE_RULE_IDS, TRACE_RULES } from './rules/index.ts';
import type { Cause, TraceJudge, TraceRule } from './rules/rule.ts';
import { Changes } from './state/changes.ts';
import { followLife, followWalks } from './state/life.ts';
import { Notifiers } from './state/notifiers.ts';
import { followLocks } from './state/locks.ts';
import type { Vm } from './state/vm.ts';
import { World } from './state/world.ts';

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

const LIMIT = 1000;
const STATEMENTS: ReadonlyMap<string, string> = new Map(KVM_RULES.map(({ id, statement }) => [id, statement]));

class Counting {
  exercised = 0;
  violated = 0;
  readonly notJudged = new Map<string, number>();
}

export class TraceJudging {
  private readonly e = new TraceEvent();
  private readonly world: World;
  private readonly options: TraceOptions;
  private readonly rules: readonly TraceRule[];
  private readonly counts = new Map<string, Counting>();
  private readonly violations: TraceViolation[] = [];
  private readonly unknown = new Map<string, number>();
  private readonly vms = new Set<string>();
  private lines = 0;
  private unreadable = 0;
  private lost = 0;
  /** Events read so far. */
  events = 0;

  constructor(options: TraceOptions = {}) {
    this.options = options;
    this.world = new World(this.e, options.kernel === undefined ? null : TRACED_KERNELS[options.kernel]);
    followLife(this.world);
    followWalks(this.world);
    const changes = new Changes(this.world);
    void changes;
    followLocks(this.world);
    const notifiers = new Notifiers(this.world);
    this.rules = TRACE_RULES.filter(({ id }) => options.rules?.includes(id) ?? true);
    this.world.listeners.created.push(({ name }) => this.vms.add(name));
    for (const id of TRACE_RULE_IDS) if (options.rules?.includes(id) ?? true) this.counts.set(id, new Counting());
    for (const rule of this.rules) rule.watch(this.world, this.judgeOf(rule), notifiers);
  }

  /** How many violations were found so far. */
  get violated(): number {
    let sum = 0;
    for (const { violated } of this.counts.values()) sum += violated;
    return sum;
  }

  /** The next line: the bytes from `from` up to its newline at `to`. */
  line(bytes: Uint8Array, from: number, to: number): void {
    const { e } = this;
    this.lines++;
    for (let at = from; at >= 0; at = e.next) this.read(bytes, at, to);
  }

  private read(bytes: Uint8Array, from: number, to: number): void {
    const { e, world, unknown } = this;
    const kind = e.read(bytes, from, to, this.lines);
    if (kind === 'event') {
      this.events++;
      world.handle();
    } else if (kind === 'unknown') {
      this.events++;
      unknown.set(e.name(), (unknown.get(e.name()) ?? 0) + 1);
    } else if (kind === 'unreadable') this.unreadable++;
    else if (kind === 'lost') {
      this.lost++;
      world.forget();
    }
  }

  private isAbout(vm: Vm | null): boolean {
    return this.options.vm === undefined || vm?.name === this.options.vm;
  }

  private judgeOf({ id }: TraceRule): TraceJudge {
    const counting = this.counts.get(id) ?? new Counting();
    this.counts.set(id, counting);
    return {
      exercised: (vm) => {
        if (this.isAbout(vm)) counting.exercised++;
      },
      unjudged: (why) => {
        counting.notJudged.set(why, (counting.notJudged.get(why) ?? 0) + 1);
      },
      violated: ({ line, task, vm, text }, seen, causes = []) => {
        if (!this.isAbout(vm)) return;
        const name = vm?.name ?? '';
        counting.violated++;
        if (this.violations.length >= (this.options.limit ?? LIMIT)) return;
        this.violations.push({
          rule: id, statement: STATEMENTS.get(id) ?? '', line, task: task.name, vm: name, seen,
          event: text ?? this.e.text(), causes,
        });
      },
    };
  }

  /** The verdict, when the last line was read. */
  end(): TraceVerdict {
    for (const listener of this.world.listeners.ending) listener();
    const { lines, events, unreadable, lost } = this;
    return {
      kernel: this.world.kernel?.version ?? null,
      lines, events, unreadable, lost,
      vms: [...this.vms],
      unknown: Object.fromEntries(this.unknown),
      violations: this.violations.toSorted((a, b) => a.line - b.line),
      violated: this.violated,
      rules: Object.fromEntries([...this.counts].map(([id, counting]) => [id, this.countOf(id, counting)])),
    };
  }

  private countOf(id: string, { exercised, violated, notJudged }: Counting): RuleCount {
    const needs = [...new Set(this.rules.filter((rule) => rule.id === id).flatMap((rule) => rule.needs))];
    const missing = needs.filter((name) => !this.world.hasSeen(name));
    const why = exercised > 0 || missing.length === 0 ? [] : [[`no event ${missing.join(', ')} in the trace`, 1] as const];
    return { exercised, violated, notJudged: Object.fromEntries([...notJudged, ...why]) };
  }
}

/** Judges a trace that is in memory, line by line. */
export function judgeTrace(lines: Iterable<string>, options: TraceOptions = {}): TraceVerdict {
  const judging = new TraceJudging(options);
  for (const line of lines) {
    const bytes = Buffer.from(line, 'latin1');
    judging.line(bytes, 0, bytes.length);
  }
  return judging.end();
}
