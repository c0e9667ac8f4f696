/** Judges a trace by the K rules, event by event. */
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { SYSTEM_RULES } from '../rules/index.ts';
import { HeldLines } from './held-lines.ts';
import { CALL_NAMES, type EventName } from './reader/event-table.ts';
import { TraceEvent } from './reader/event.ts';
import type { LineKind } from './reader/other-lines.ts';
import { Reading } from './reading.ts';
import { TDX_TRACE_RULE_IDS, TDX_TRACE_RULES, TRACE_RULE_IDS, TRACE_RULES } from './rules/index.ts';
import type { DerivedState, TraceReporter } from './rules/rule.ts';
import { followChanges } from './state/changes.ts';
import { EVIDENCE } from './state/direct-map.ts';
import { followInvalidatedRanges } from './state/invalidated-range.ts';
import { followLife, followWalks } from './state/life.ts';
import { followLocks } from './state/locks.ts';
import { Notifiers } from './state/notifiers.ts';
import { followRequiredFlushes } from './state/required-flushes.ts';
import type { Vm } from './state/vm.ts';
import { World } from './state/world.ts';
import { Symbols } from './symbols.ts';
import { sumOf, Tally } from './tally.ts';
import { Tds } from './tdx/follow.ts';
import type { TraceOptions, TraceVerdict, TraceViolation } from './verdict.ts';

const LIMIT = 1000;
/** Why a rule about tables is not judged where tables have no frames. */
const UNMAPPED = 'no event shows where the kernel maps physical memory';
const STATEMENTS: ReadonlyMap<string, string> = new Map(
  [...SYSTEM_RULES, ...KVM_RULES].map(({ id, statement }) => [id, statement]),
);

/** Follows all state of a trace. A handler finds the state that those before it here keep. */
function followState(world: World): DerivedState {
  world.onState(EVIDENCE, (e) => world.directMap.see(e));
  followLife(world);
  followWalks(world);
  followChanges(world);
  followLocks(world);
  const notifiers = new Notifiers(world);
  const invalidated = followInvalidatedRanges(world, notifiers);
  const flushes = followRequiredFlushes(world, notifiers);
  return { notifiers, invalidated, flushes, tds: new Tds(world) };
}

/** Judges one trace, line by line. */
export class TraceJudge {
  private readonly e = new TraceEvent();
  private readonly world: World;
  private readonly options: TraceOptions;
  private readonly tallies: readonly Tally[];
  private readonly unknown = new Map<string, number>();
  private readonly vms = new Set<string>();
  private readonly symbols = new Symbols();
  /** What the trace shows about itself. */
  readonly reading = new Reading();
  private lines = 0;
  /** Lines that wait for the base of the direct map. */
  private held: HeldLines | null = null;
  private unreadable = 0;
  private lost = 0;
  /** Number of events read so far. */
  events = 0;
  private readonly hasSeen = (name: EventName): boolean => this.world.hasSeen(name);

  constructor(options: TraceOptions = {}) {
    this.options = options;
    this.world = new World(this.e, options.kernel);
    const state = followState(this.world);
    this.tallies = [...TRACE_RULES, ...TDX_TRACE_RULES]
      .filter(({ id }) => options.rules?.includes(id) ?? true)
      .map((rule) => new Tally(rule));
    this.world.listeners.created.push(({ name }) => this.vms.add(name));
    for (const tally of this.tallies) tally.rule.watch(this.world, this.reporterOf(tally), state);
  }

  /** Number of violations found so far. */
  get violated(): number {
    let sum = 0;
    for (const { violated } of this.tallies) sum += violated;
    return sum;
  }

  /** Reads the next line: the bytes from `from` to its newline at `to`. */
  line(bytes: Uint8Array, from: number, to: number): void {
    this.lines++;
    if (this.held === null) this.readLine(bytes, from, to, this.lines);
    else this.hold(this.held, bytes, from, to, this.lines);
  }

  /** Reads the events of a line until one has to wait. */
  private readLine(bytes: Uint8Array, from: number, to: number, line: number): void {
    const { e, world } = this;
    for (let at = from; at >= 0; at = e.next) {
      const kind = e.read(bytes, at, to, line);
      if (kind === 'event' && world.mustWait()) {
        this.held = new HeldLines();
        this.hold(this.held, bytes, at, to, line);
        return;
      }
      this.take(kind);
    }
  }

  /** Keeps a line; passes all on if it shows the base of the direct map, or is one too many. */
  private hold(held: HeldLines, bytes: Uint8Array, from: number, to: number, line: number): void {
    const { e, world } = this;
    held.push(bytes, from, to, line);
    for (let at = from; at >= 0; at = e.next)
      if (e.read(bytes, at, to, line) === 'event') world.directMap.see(e);
    if (world.directMap.isKnown || held.isFull) this.release(held);
  }

  private release(held: HeldLines): void {
    const { world } = this;
    world.directMap.forget();
    if (!world.directMap.isKnown) world.giveUpDirectMap();
    this.held = null;
    held.release((bytes, from, to, line) => this.readLine(bytes, from, to, line));
  }

  private take(kind: LineKind): void {
    const { e, reading, unknown } = this;
    if (kind === 'event' || kind === 'unknown') {
      this.events++;
      if (reading.event(e)) this.world.forget();
      if (kind === 'event') this.handle();
      else unknown.set(e.name(), (unknown.get(e.name()) ?? 0) + 1);
    } else if (kind === 'comment') {
      if (reading.comment(e.text())) this.world.forget();
      this.world.declare();
    } else if (kind === 'unreadable') {
      this.unreadable++;
      reading.unreadable(e);
    } else this.miss(kind);
  }

  /** Events are missing, of the CPU in the line: lost ones, or all until here. */
  private miss(kind: 'lost' | 'started'): void {
    const { e, reading } = this;
    if (kind === 'lost') this.lost++;
    const since = kind === 'lost' ? reading.lost(e.cpu, e.lost) : reading.started();
    for (const tally of this.tallies) tally.withdraw(since, 'events were lost at the same time');
    this.world.forget();
  }

  private handle(): void {
    const { e, reading, world, options } = this;
    if (e.probed !== 0) this.symbols.resolve(e, world.hasSeen('init_sp'));
    if (e.hasNotNumbers) reading.values(e);
    world.recognise();
    const found = world.recognition.kernel;
    if (options.kernel !== undefined && found?.names.includes(options.kernel) === false)
      reading.probesOf = found.version;
    if (reading.probesOf === null) world.handle();
  }

  private isAbout(vm: Vm | null): boolean {
    return this.options.vm === undefined || vm?.name === this.options.vm;
  }

  private reporterOf(tally: Tally): TraceReporter {
    const { id } = tally.rule;
    return {
      exercised: (vm) => {
        if (this.isAbout(vm)) tally.exercised++;
      },
      notJudged: (why) => tally.skip(why),
      violated: ({ line, task, vm, text, unless = [] }, seen, causes = []) => {
        if (!this.isAbout(vm)) return;
        const make = (): TraceViolation => ({
          rule: id,
          statement: STATEMENTS.get(id) ?? '',
          line,
          task: task.name,
          vm: vm?.name ?? '',
          seen,
          event: text ?? this.e.text(),
          causes,
        });
        tally.count({ line, seen, unless }, this.hasSeen, make);
        if (tally.reported.length < (this.options.limit ?? LIMIT))
          tally.reported.push({ violation: make(), unless });
        if (this.options.onViolation !== undefined && tally.isCertain(unless, this.hasSeen))
          this.options.onViolation(make());
      },
    };
  }

  /** The verdict, after the last line. */
  end(): TraceVerdict {
    if (this.held !== null) this.release(this.held);
    for (const listener of this.world.listeners.ending.all) listener();
    const { directMap, unplaced, kernel } = this.world;
    const refusal = this.reading.refusal();
    for (const tally of this.tallies) {
      tally.discount(this.hasSeen);
      if (directMap.isMissing && tally.exercised === 0) tally.skip(UNMAPPED);
      if (refusal !== null) tally.refuse(refusal);
    }
    const { lines, events, unreadable, lost } = this;
    return {
      kernel: kernel?.version ?? null,
      kernels: kernel?.names ?? [],
      isUnknownKernel: this.world.recognition.isUnlikeAny,
      lines,
      events,
      unreadable,
      lost,
      directMap: directMap.text,
      directMapMoves: directMap.moves,
      unplacedFaults: unplaced,
      vms: [...this.vms],
      unknown: Object.fromEntries(this.unknown),
      violations: this.tallies
        .flatMap((tally) => tally.violations(this.hasSeen))
        .toSorted((a, b) => a.line - b.line)
        .slice(0, this.options.limit ?? LIMIT),
      violated: this.violated,
      groups: this.tallies
        .flatMap((tally) => tally.grouped(this.hasSeen))
        .toSorted((a, b) => a.first.line - b.first.line),
      reading: this.reading.end(),
      rules: Object.fromEntries(
        this.judgedIds().flatMap((id) => {
          const found = this.tallies.filter(({ rule }) => rule.id === id);
          return found.length === 0 ? [] : [[id, sumOf(found)]];
        }),
      ),
    };
  }

  /** Rules about TDs are left out if the trace has no TD, unless the options name them. */
  private judgedIds(): readonly string[] {
    const { rules } = this.options;
    const hasTds = rules !== undefined || CALL_NAMES.some((name) => this.world.hasSeen(name));
    return hasTds ? [...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS] : TRACE_RULE_IDS;
  }
}

/**
 * Judges a trace in memory, line by line. The verdict has the fields of `sept trace --json`: which
 * rules were exercised, which were violated and where, and which are not judged because a probe is
 * missing. Never throws; lines that are not events are counted. For a file of any size, use
 * `judgeTraceFile`.
 *
 * @param lines Lines of the file `trace` of tracefs, or of another recorder, without their
 *   newlines.
 */
export function judgeTrace(lines: Iterable<string>, options: TraceOptions = {}): TraceVerdict {
  const judge = new TraceJudge(options);
  for (const line of lines) {
    const bytes = Buffer.from(line, 'latin1');
    judge.line(bytes, 0, bytes.length);
  }
  return judge.end();
}
