/**
 * Generates concurrent histories: a TD is built one call at a time; then two or three threads work
 * on a few entries of it at the same time, step by step.
 */
import type { Choices } from '../../../../spec/machine/choices.ts';
import { run } from '../../../../spec/machine/run.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import { VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import { hexOf } from '../format/values.ts';
import { performStepwise } from '../replay/perform.ts';
import { word, type Universes } from '../universe/universe.ts';
import { CallWriter } from './call-writer.ts';
import { OPENING, FRAGMENTS } from './entry-fragments.ts';
import { recordFinal } from './record-final.ts';
import { answerFields, type CallRequest } from './record-step.ts';
import { Recorder } from './record.ts';
import { withRng, type Rng } from './rng.ts';
import { configOf, POOLS } from './sequential.ts';
import type { Location } from './td-view.ts';
import { SOURCE } from './tree-fragments.ts';

const PREFIX = 30;
const CALLS = 8;
/** Percentage of steps after which another thread runs. */
const SWITCHES = 12;
const MAX_STEPS = 50_000;
const HOST_LP = 4;

/** Functions with a page in R8. */
const WITH_PAGE: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.ADD',
  'TDH.MEM.PAGE.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.RELOCATE',
]);
const ON_ENTRY = [
  ...WITH_PAGE,
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.SEPT.RD',
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.PAGE.PROMOTE',
  'TDH.MEM.TRACK',
];

/** The history of a seed, as a line of a recording. */
export const concurrentHistory = (
  seed: number,
  universes: Universes,
  version: ModuleVersion,
): Record<string, unknown> =>
  withRng(seed, (rng) => {
    const config = configOf(rng, version);
    const recorder = new Recorder(config, universes);
    const writer = new CallWriter(recorder, rng, config, POOLS);
    for (const fragment of OPENING) fragment(writer);
    while (recorder.length < PREFIX && !recorder.halted) rng.weighted(FRAGMENTS)(writer);
    const prefix = recorder.finish('', seed).steps;
    const initial = recordFinal(recorder.u);
    const race = new Race(recorder, rng, writer);
    const { threads, events } = race.run(2 + rng.below(2));
    const { id, halted } = { id: `own-conc-${seed}`, halted: race.halted };
    return {
      id,
      seed,
      config,
      prefix,
      initial,
      threads,
      events,
      halted,
      final: recordFinal(recorder.u),
    };
  });

type Event = Record<string, unknown> & { readonly inv: number };

class Race {
  halted = false;
  private readonly recorder: Recorder;
  private readonly rng: Rng;
  private readonly locations: readonly Location[];
  private readonly tdr: string;
  private readonly tdvpr: string;
  private readonly events: Event[] = [];
  private clock = 0;

  constructor(recorder: Recorder, rng: Rng, writer: CallWriter) {
    this.recorder = recorder;
    this.rng = rng;
    this.tdr = writer.tdr;
    this.tdvpr = writer.config.tds[0]?.tdvpr[0] ?? '0x0';
    this.locations = [writer.anyLocation(0), writer.anyLocation(0), writer.anyLocation(1)];
  }

  /** Runs `count` threads at the same time. The first one is a vCPU. */
  run(count: number): { readonly threads: readonly unknown[]; readonly events: readonly Event[] } {
    const { m } = this.recorder.u.tdx;
    const threads = Array.from({ length: count }, (_, t) => ({
      t,
      kind: t === 0 ? 'guest' : 'host',
      lp: t && HOST_LP + t,
    }));
    m.actors.length = 0;
    const previous: Choices = m.choices;
    m.choices = {
      stays: () => false,
      pick: (n) => (this.rng.percent(SWITCHES) ? this.rng.below(n) : 0),
    };
    for (const { t, kind, lp } of threads)
      m.spawn(`${kind}${t}`, this.thread(t, kind === 'guest', lp));
    run(m, m.now + MAX_STEPS);
    m.choices = previous;
    m.actors.length = 0;
    return { threads, events: this.events.toSorted((a, b) => a.inv - b.inv) };
  }

  private *thread(t: number, isGuest: boolean, lp: number): Steps<void> {
    for (let i = 0; i < CALLS && !this.halted; i++)
      yield* this.event(t, isGuest ? this.drawGuest() : this.drawHost(lp));
  }

  private *event(t: number, request: CallRequest): Steps<void> {
    const { u } = this.recorder;
    const slot = this.recorder.slot(0);
    const inv = this.clock++;
    const step = {
      i: 0,
      op: request.op,
      lp: request.lp,
      in: request.in,
      result: '',
      status: '0x0',
    };
    const done = yield* performStepwise(u, slot, step);
    if (done.result === 'HALT') this.halted = true;
    const made = {
      t,
      inv,
      ret: this.clock++,
      op: request.op,
      lp: request.lp,
      vcpu: request.in.vcpu ?? null,
      in: request.in,
    };
    this.events.push({ ...made, ...answerFields(u, request, done) });
  }

  private drawHost(lp: number): CallRequest {
    const { rng } = this;
    const op = rng.pick(ON_ENTRY);
    if (op === 'TDH.MEM.TRACK') return { op, lp, in: { td: 0, regs: { rcx: this.tdr } } };
    const location = rng.pick(this.locations);
    const level = op.includes('SEPT') || op.endsWith('MOTE') ? 1 : location.level;
    const gpa = level === 1 ? location.gpa - (location.gpa % 0x20_0000) : location.gpa;
    const large = op === 'TDH.MEM.PAGE.AUG' && level === 1;
    const r8 = WITH_PAGE.has(op) ? { r8: rng.pick(large ? POOLS.large : POOLS.small) } : {};
    const r9 = op === 'TDH.MEM.PAGE.ADD' ? { r9: SOURCE } : {};
    const regs = { rcx: hexOf(BigInt(gpa + level)), rdx: this.tdr, ...r8, ...r9 };
    return { op, lp, in: { td: 0, gpa: hexOf(BigInt(gpa)), level, version: 0, regs } };
  }

  private drawGuest(): CallRequest {
    const {
      rng,
      recorder: { u },
    } = this;
    const slot = this.recorder.slot(0);
    const state = word(u, slot.tdvpr[0] ?? 0, VP.STATE);
    const on = { vcpu: 0, td: 0 };
    if (state !== VCPU_ACTIVE)
      return { op: 'TDH.VP.ENTER', lp: 0, in: { ...on, regs: { rcx: this.tdvpr } } };
    if (rng.percent(30)) return { op: 'HW.TD.EXIT', lp: 0, in: on };
    const { gpa, level } = rng.pick(this.locations);
    const regs = { rcx: hexOf(BigInt(gpa + level)) };
    return {
      op: 'TDG.MEM.PAGE.ACCEPT',
      lp: 0,
      in: { ...on, gpa: hexOf(BigInt(gpa)), level, regs },
    };
  }
}
