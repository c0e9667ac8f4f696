/** Judges a trace by the K rules, event by event. */
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { SYSTEM_RULES } from '../rules/index.ts';
import { TRACED_KERNELS } from './kernels/kernel.ts';
import { CALL_NAMES, type EventName } from './reader/event-table.ts';
import { TraceEvent } from './reader/event.ts';
import { TDX_TRACE_RULE_IDS, TDX_TRACE_RULES, TRACE_RULE_IDS, TRACE_RULES } from './rules/index.ts';
import type { TraceReporter, TraceRule } from './rules/rule.ts';
import { followChanges } from './state/changes.ts';
import { followInvalidatedRanges } from './state/invalidated-range.ts';
import { followLife, followWalks } from './state/life.ts';
import { followLocks } from './state/locks.ts';
import { Notifiers } from './state/notifiers.ts';
import { followRequiredFlushes } from './state/required-flushes.ts';
import type { Vm } from './state/vm.ts';
import { World } from './state/world.ts';
import { Tds } from './tdx/follow.ts';
import type { RuleCount, TraceOptions, TraceVerdict, TraceViolation } from './verdict.ts';

const LIMIT = 1000;
const STATEMENTS: ReadonlyMap<string, string> = new Map(
  [...SYSTEM_RULES, ...KVM_RULES].map(({ id, statement }) => [id, statement]),
);

/** What one object that judges a rule has found. Several may judge one rule. */
class RuleTally {
  exercised = 0;
  violated = 0;
  readonly notJudged = new Map<string, number>();
  readonly violations: {
    readonly violation: TraceViolation;
    readonly unless: readonly EventName[];
  }[] = [];
  /** How many of them are none if there is no such event. */
  readonly conditional = new Map<EventName, number>();
  readonly rule: TraceRule;

  constructor(rule: TraceRule) {
    this.rule = rule;
  }
}

export class TraceJudge {
  private readonly e = new TraceEvent();
  private readonly world: World;
  private readonly options: TraceOptions;
  private readonly tallies: readonly RuleTally[];
  private readonly unknown = new Map<string, number>();
  private readonly vms = new Set<string>();
  private lines = 0;
  private unreadable = 0;
  private lost = 0;
  /** Events read so far. */
  events = 0;

  constructor(options: TraceOptions = {}) {
    this.options = options;
    this.world = new World(
      this.e,
      options.kernel === undefined ? null : TRACED_KERNELS[options.kernel],
    );
    followLife(this.world);
    followWalks(this.world);
    followChanges(this.world);
    followLocks(this.world);
    const notifiers = new Notifiers(this.world);
    const state = {
      notifiers,
      invalidated: followInvalidatedRanges(this.world, notifiers),
      flushes: followRequiredFlushes(this.world, notifiers),
      tds: new Tds(this.world),
    };
    this.tallies = [...TRACE_RULES, ...TDX_TRACE_RULES]
      .filter(({ id }) => options.rules?.includes(id) ?? true)
      .map((rule) => new RuleTally(rule));
    this.world.listeners.created.push(({ name }) => this.vms.add(name));
    for (const tally of this.tallies) tally.rule.watch(this.world, this.judgeOf(tally), state);
  }

  /** How many violations were found so far. */
  get violated(): number {
    let sum = 0;
    for (const { violated } of this.tallies) sum += violated;
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
    if (kind === 'comment') world.declare();
    else if (kind === 'event') {
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

  private judgeOf(tally: RuleTally): TraceReporter {
    const { id } = tally.rule;
    return {
      exercised: (vm) => {
        if (this.isAbout(vm)) tally.exercised++;
      },
      notJudged: (why) => {
        tally.notJudged.set(why, (tally.notJudged.get(why) ?? 0) + 1);
      },
      violated: ({ line, task, vm, text, unless = [] }, seen, causes = []) => {
        if (!this.isAbout(vm)) return;
        tally.violated++;
        // an event that comes later will do
        const missing = unless.find((name) => !this.world.hasSeen(name));
        if (missing !== undefined)
          tally.conditional.set(missing, (tally.conditional.get(missing) ?? 0) + 1);
        if (tally.violations.length >= (this.options.limit ?? LIMIT)) return;
        const violation = {
          rule: id,
          statement: STATEMENTS.get(id) ?? '',
          line,
          task: task.name,
          vm: vm?.name ?? '',
          seen,
          event: text ?? this.e.text(),
          causes,
        };
        tally.violations.push({ violation, unless });
      },
    };
  }

  /** The verdict, when the last line was read. */
  end(): TraceVerdict {
    for (const listener of this.world.listeners.ending.all) listener();
    for (const tally of this.tallies) this.discountUnrecorded(tally);
    const { lines, events, unreadable, lost } = this;
    return {
      kernel: this.world.kernel?.version ?? null,
      lines,
      events,
      unreadable,
      lost,
      vms: [...this.vms],
      unknown: Object.fromEntries(this.unknown),
      violations: this.tallies
        .flatMap((tally) => this.violationsOf(tally))
        .toSorted((a, b) => a.line - b.line)
        .slice(0, this.options.limit ?? LIMIT),
      violated: this.violated,
      rules: Object.fromEntries(
        this.judgedIds().flatMap((id) => {
          const found = this.tallies.filter(({ rule }) => rule.id === id);
          return found.length === 0 ? [] : [[id, sumOf(found)]];
        }),
      ),
    };
  }

  /** Where no TD is, nothing is said of the rules about TDs, unless somebody has asked for them. */
  private judgedIds(): readonly string[] {
    const { rules } = this.options;
    const hasTds = rules !== undefined || CALL_NAMES.some((name) => this.world.hasSeen(name));
    return hasTds ? [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS] : TRACE_RULE_IDS;
  }

  private violationsOf({ violations }: RuleTally): TraceViolation[] {
    return violations
      .filter(({ unless }) => unless.every((name) => this.world.hasSeen(name)))
      .map(({ violation }) => violation);
  }

  /** What was found without events that it takes to find anything is nothing. */
  private discountUnrecorded(tally: RuleTally): void {
    const { needs, needsOne = [], pairs = [] } = tally.rule;
    const missing = [
      ...needs.filter((name) => !this.world.hasSeen(name)),
      ...(needsOne.some((name) => this.world.hasSeen(name)) ? [] : needsOne),
      ...pairs.flatMap(([one, other]) =>
        this.world.hasSeen(one) && !this.world.hasSeen(other) ? [other] : [],
      ),
    ];
    for (const [name, times] of tally.conditional) {
      if (this.world.hasSeen(name)) continue;
      tally.violated -= times;
      tally.notJudged.set(missingText([name]), times);
    }
    if (missing.length === 0) return;
    tally.exercised = 0;
    tally.violated = 0;
    tally.violations.length = 0;
    tally.notJudged.set(missingText(missing), 1);
  }
}

const missingText = (names: readonly string[]): string =>
  `no event ${[...new Set(names)].join(', ')} in the trace`;

function sumOf(tallies: readonly RuleTally[]): RuleCount {
  const notJudged = new Map<string, number>();
  for (const tally of tallies) {
    for (const [why, times] of tally.notJudged)
      notJudged.set(why, (notJudged.get(why) ?? 0) + times);
  }
  const exercised = tallies.reduce((sum, tally) => sum + tally.exercised, 0);
  if (exercised === 0 && notJudged.size === 0)
    notJudged.set('the trace has nothing that it is about', 1);
  return {
    exercised,
    violated: tallies.reduce((sum, { violated }) => sum + violated, 0),
    notJudged: Object.fromEntries(notJudged),
  };
}

/**
 * Judges a trace that is in memory, line by line, in the words of `sept trace --json`: which rules
 * were put to the test, which were violated where, and which cannot be told without a probe that is
 * not in it. Never throws: what is no event is counted. A trace in a file, of any size, is for
 * `judgeTraceFile`.
 *
 * @param lines of the file `trace` of tracefs, without their newlines.
 */
export function judgeTrace(lines: Iterable<string>, options: TraceOptions = {}): TraceVerdict {
  const judge = new TraceJudge(options);
  for (const line of lines) {
    const bytes = Buffer.from(line, 'latin1');
    judge.line(bytes, 0, bytes.length);
  }
  return judge.end();
}
