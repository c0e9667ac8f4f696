/**
 * Random programs of raw calls on the module alone: what its own rules say of it, whatever a VMM does. Programs,
 * schedules, their text and their shrinking are those of histories (history.ts); an operation is one call.
 */
import fc from 'fast-check';
import type { Choices } from '../../spec/machine/choices.ts';
import { RuleBook } from '../../spec/machine/monitor.ts';
import type { Violation } from '../../spec/machine/rule.ts';
import { run } from '../../spec/machine/run.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Operands } from '../../spec/tdx/call.ts';
import type { TdxModule } from '../../spec/tdx/module.ts';
import { pageNumber } from '../../spec/tdx/operands.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import { HistoryArbitrary, type Shape } from '../histories/arbitrary.ts';
import { DeviationChoices } from '../histories/deviations.ts';
import type { ActorProgram, History } from '../histories/history.ts';
import { ModuleWorld, TDVPRS, type WorldOptions } from './world.ts';
import { shrink } from '../histories/shrink.ts';
import { formatHistory } from '../histories/text.ts';

/** Levels of the tree: 2 for the root's entries, so the guest has eight pages. */
export const ROOT_LEVEL = 2;
/** Some page in shared memory. */
const SOURCE = 0x1000_0000;

export type HostCall = (w: ModuleWorld, gfn: number) => readonly [string, Partial<Operands>];

/** A call with a GPA and a level. */
const onEntry = (name: string, level: number): HostCall => (w, gfn) => [name, w.mapping(gfn, level)];
/** The same with a page in R8. */
const withPage = (name: string, level: number, page: (w: ModuleWorld, gfn: number) => number): HostCall =>
  (w, gfn) => [name, { ...w.mapping(gfn, level), r8: w.address(page(w, gfn)), r9: SOURCE }];

const own = (w: ModuleWorld, gfn: number): number => w.pageOf(gfn);
/** The page of the GFN beside it, which may be in use. */
const others = (w: ModuleWorld, gfn: number): number => w.pageOf(gfn ^ 1);
const table = (w: ModuleWorld, gfn: number): number => w.tablePage(gfn, 1);

export const HOST_CALLS: ReadonlyMap<string, HostCall> = new Map<string, HostCall>([
  ['add', withPage('TDH.MEM.PAGE.ADD', 0, own)],
  ['aug', withPage('TDH.MEM.PAGE.AUG', 0, own)],
  ['aug-other', withPage('TDH.MEM.PAGE.AUG', 0, others)],
  ['aug-huge', withPage('TDH.MEM.PAGE.AUG', 1, (w, gfn) => w.pageOf(gfn, 1))],
  ['remove', onEntry('TDH.MEM.PAGE.REMOVE', 0)],
  ['remove-huge', onEntry('TDH.MEM.PAGE.REMOVE', 1)],
  ['relocate', withPage('TDH.MEM.PAGE.RELOCATE', 0, (w, gfn) => w.sparePage(gfn))],
  ['block', onEntry('TDH.MEM.RANGE.BLOCK', 0)],
  ['block-huge', onEntry('TDH.MEM.RANGE.BLOCK', 1)],
  ['unblock', onEntry('TDH.MEM.RANGE.UNBLOCK', 0)],
  ['unblock-huge', onEntry('TDH.MEM.RANGE.UNBLOCK', 1)],
  ['promote', onEntry('TDH.MEM.PAGE.PROMOTE', 1)],
  ['demote', withPage('TDH.MEM.PAGE.DEMOTE', 1, table)],
  ['sept-add', withPage('TDH.MEM.SEPT.ADD', 1, table)],
  ['sept-add-other', withPage('TDH.MEM.SEPT.ADD', 1, (w, gfn) => table(w, gfn ^ 2))],
  ['sept-remove', onEntry('TDH.MEM.SEPT.REMOVE', 1)],
  ['sept-rd', onEntry('TDH.MEM.SEPT.RD', 0)],
  ['read', onEntry('TDH.MEM.RD', 0)],
  ['extend', onEntry('TDH.MR.EXTEND', 0)],
  ['track', (w) => ['TDH.MEM.TRACK', { rcx: w.mapping(0, 0).rdx }]],
  ['finalize', (w) => ['TDH.MR.FINALIZE', { rcx: w.mapping(0, 0).rdx }]],
]);

/** The operation with which the guest writes to a page. */
const TOUCH = 'touch';
/** What a guest executes, by operation: the call that the module makes of it, and its level. */
export const GUEST_CALLS: ReadonlyMap<string, readonly [string, number]> = new Map([
  ['accept', ['TDG.MEM.PAGE.ACCEPT', 0]],
  ['accept-huge', ['TDG.MEM.PAGE.ACCEPT', 1]],
  [TOUCH, ['HW.GUEST.ACCESS', 0]],
]);
/** The operation with which a VCPU leaves the TD. */
export const LEAVE = 'leave';
/** The operation that lets the others go on. */
export const IDLE = 'idle';

/** Two VMM threads and a VCPU, or two VCPUs: where the races of the module live. */
export const CALL_SHAPE: Shape = {
  vm: 'td',
  roles: ['host', 'vcpu', 'host'],
  operations: {
    host: [...HOST_CALLS.keys(), 'aug', 'block', 'track', 'remove', IDLE],
    vcpu: ['accept', 'accept', 'accept-huge', TOUCH, IDLE, LEAVE],
  },
  maxOperations: 5,
  gfns: 4,
  maxDeviations: 4,
  maxStep: 24,
};

export interface ExploreOptions extends Pick<WorldOptions, 'module' | 'finalize' | 'params' | 'functions' | 'create'> {
  readonly seed: number;
  readonly runs: number;
  readonly shape?: Shape;
}

/** What broke a rule: the shrunk history, and how many histories it took to find one. */
export interface CallFinding {
  readonly violation: Violation;
  readonly text: string;
  readonly foundAfter: number;
}

export interface Exploration {
  /** By rule. */
  readonly findings: ReadonlyMap<string, CallFinding>;
  /** How often the premise of each rule held, by rule. */
  readonly exercised: Readonly<Record<string, number>>;
}

/** Runs histories of raw calls, all T rules watching, findings of a real module included. */
export class CallExplorer {
  readonly world: ModuleWorld;
  readonly book: RuleBook<TdxModule>;
  private readonly choices: DeviationChoices;

  constructor(options: Omit<ExploreOptions, 'seed' | 'runs'>) {
    this.world = new ModuleWorld({ rootLevel: ROOT_LEVEL, ...options });
    this.world.addTables(0);
    const { m, memory, tdx } = this.world;
    const rules = TDX_RULES.filter(({ versions }) => versions.includes('*') || versions.includes(options.module));
    for (let page = this.world.firstPage; page < memory.pages; page++) this.world.use(page);
    m.seal();
    this.book = new RuleBook(m, tdx, rules);
    this.choices = new DeviationChoices(m);
  }

  /** Runs one history; its schedule is that of its deviations, unless other choices are given. */
  run({ actors, deviations }: History, choices: Choices = this.choices): Violation | null {
    const { m } = this.world;
    m.reset();
    m.choices = choices;
    this.choices.follow(deviations);
    for (const [index, actor] of actors.entries()) {
      const place = actors.slice(0, index).filter(({ role }) => role === actor.role).length;
      m.spawn(`${actor.role}${place}`, this.program(actor, place));
    }
    if (run(m, MAX_STEPS) === 'finished') this.book.atRest();
    return m.violation;
  }

  private *program({ role, operations }: ActorProgram, place: number): Steps<void> {
    const { m } = this.world;
    for (const [at, { name, gfn }] of operations.entries()) {
      if (role === 'vcpu') {
        // entering is an operation of its own, that no deviation names
        m.beginOp(-1);
        if (!(yield* this.enter(place))) return;
      }
      m.beginOp(at);
      if (name === IDLE) yield* m.relax(0);
      else yield* role === 'host' ? this.host(name, gfn, TDVPRS.length + place) : this.guest(name, gfn, place);
    }
    if (role === 'vcpu' && this.world.isInside(place)) yield* this.world.exit(place);
  }

  /** Makes the VCPU enter, unless it is inside; false when the module refuses. */
  private *enter(vcpu: number): Steps<boolean> {
    const { world } = this;
    if (world.isInside(vcpu)) return true;
    const call = yield* world.invoke('TDH.VP.ENTER', { rcx: world.address(world.tdvpr(vcpu)), lp: vcpu });
    return call.status === SUCCESS;
  }

  private *host(operation: string, gfn: number, lp: number): Steps<void> {
    const [name, operands] = HOST_CALLS.get(operation)?.(this.world, gfn) ?? unknown(operation);
    yield* this.world.invoke(name, { ...operands, lp });
  }

  /** One instruction of the guest. */
  private *guest(operation: string, gfn: number, vcpu: number): Steps<void> {
    const { world } = this;
    if (operation === LEAVE) return yield* world.exit(vcpu);
    const [name, level] = GUEST_CALLS.get(operation) ?? unknown(operation);
    const { rcx } = world.mapping(gfn, level);
    const call = yield* world.invoke(name, { rcx, vcpu: world.tdvpr(vcpu), lp: vcpu });
    if (call.interrupted) yield* world.exit(vcpu);
    else if (operation === TOUCH && call.exitReason < 0 && !call.injectedVe) world.use(pageNumber(world.tdx, call.rcx));
  }
}

/** More than any program of {@link CALL_SHAPE} takes: nothing here retries. */
export const MAX_STEPS = 5_000;

function unknown(operation: string): never {
  throw new Error(`unknown operation "${operation}"`);
}

/** Runs random histories; the first one that broke each rule is shrunk. */
export function explore(options: ExploreOptions): Exploration {
  const explorer = new CallExplorer(options);
  const found = new Map<string, { readonly history: History; readonly foundAfter: number }>();
  let histories = 0;
  fc.check(fc.property(new HistoryArbitrary(options.shape ?? CALL_SHAPE), (history) => {
    histories++;
    const violation = explorer.run(history);
    if (violation !== null && !found.has(violation.rule)) found.set(violation.rule, { history, foundAfter: histories });
  }), { seed: options.seed, numRuns: options.runs });
  const { rules } = explorer.book;
  const exercised = Object.fromEntries(rules.map(({ id }) => [id, explorer.book.timesExercised(id)]));
  const findings = [...found].map(([rule, { history, foundAfter }]): [string, CallFinding] => {
    const shrunk = shrink(history, (candidate) => explorer.run(candidate)?.rule === rule).history;
    const violation = explorer.run(shrunk) as Violation; // it was run before, with this outcome
    return [rule, { violation, text: formatHistory(shrunk), foundAfter }];
  });
  return { findings: new Map(findings), exercised };
}
