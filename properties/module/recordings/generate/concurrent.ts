/**
 * Concurrent histories of our own: a TD that was built one call at a time, and then two or three
 * threads that work on a few entries of it at once, step by step.
 */
import type { Choices } from '../../../../spec/machine/choices.ts';
import { run } from '../../../../spec/machine/run.ts';
import type { Steps } from '../../../../spec/machine/step.ts';
import { VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import { hexOf } from '../format/values.ts';
import { performStepwise } from '../replay/perform.ts';
import { word, type Universes } from '../universe/universe.ts';
import { Author } from './call-writer.ts';
import { BEGINNINGS, STORIES } from './entry-scenarios.ts';
import { recordFinal } from './record-final.ts';
import { answerFields, type Asked } from './record-step.ts';
import { Recorder } from './record.ts';
import { withDice, type Dice } from './rng.ts';
import { configOf, POOLS } from './sequential.ts';
import type { Place } from './td-view.ts';
import { SOURCE } from './tree-scenarios.ts';

const PREFIX = 30;
const CALLS = 8;
/** Of a hundred steps how many are followed by one of another thread. */
const SWITCHES = 12;
const MAX_STEPS = 50_000;
const HOST_LP = 4;

/** What the operations of the VMM are given beyond the entry and the TD. */
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

/** The history of a seed, as a line of a recording has it. */
export const concurrentHistory = (seed: number, universes: Universes): Record<string, unknown> =>
  withDice(seed, (dice) => {
    const config = configOf(dice);
    const recorder = new Recorder(config, universes);
    const author = new Author(recorder, dice, config, POOLS);
    for (const story of BEGINNINGS) story(author);
    while (recorder.length < PREFIX && !recorder.halted) dice.weighted(STORIES)(author);
    const prefix = recorder.finish('', seed).steps;
    const initial = recordFinal(recorder.u);
    const race = new Race(recorder, dice, author);
    const { threads, events } = race.run(2 + dice.below(2));
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
  private readonly dice: Dice;
  private readonly places: readonly Place[];
  private readonly tdr: string;
  private readonly tdvpr: string;
  private readonly events: Event[] = [];
  private clock = 0;

  constructor(recorder: Recorder, dice: Dice, author: Author) {
    this.recorder = recorder;
    this.dice = dice;
    this.tdr = author.tdr;
    this.tdvpr = author.config.tds[0]?.tdvpr[0] ?? '0x0';
    this.places = [author.anywhere(0), author.anywhere(0), author.anywhere(1)];
  }

  /** Lets threads run at once, the first one a vCPU. */
  run(count: number): { readonly threads: readonly unknown[]; readonly events: readonly Event[] } {
    const { m } = this.recorder.u.tdx;
    const threads = Array.from({ length: count }, (_, t) => ({
      t,
      kind: t === 0 ? 'guest' : 'host',
      lp: t && HOST_LP + t,
    }));
    m.actors.length = 0;
    const ordinary: Choices = m.choices;
    m.choices = {
      stays: () => false,
      pick: (n) => (this.dice.percent(SWITCHES) ? this.dice.below(n) : 0),
    };
    for (const { t, kind, lp } of threads)
      m.spawn(`${kind}${t}`, this.thread(t, kind === 'guest', lp));
    run(m, m.now + MAX_STEPS);
    m.choices = ordinary;
    m.actors.length = 0;
    return { threads, events: this.events.toSorted((a, b) => a.inv - b.inv) };
  }

  private *thread(t: number, isGuest: boolean, lp: number): Steps<void> {
    for (let i = 0; i < CALLS && !this.halted; i++)
      yield* this.event(t, isGuest ? this.drawGuest() : this.drawHost(lp));
  }

  private *event(t: number, asked: Asked): Steps<void> {
    const { u } = this.recorder;
    const slot = this.recorder.slot(0);
    const inv = this.clock++;
    const step = { i: 0, op: asked.op, lp: asked.lp, in: asked.in, result: '', status: '0x0' };
    const done = yield* performStepwise(u, slot, step);
    if (done.result === 'HALT') this.halted = true;
    const made = {
      t,
      inv,
      ret: this.clock++,
      op: asked.op,
      lp: asked.lp,
      vcpu: asked.in.vcpu ?? null,
      in: asked.in,
    };
    this.events.push({ ...made, ...answerFields(u, asked, done) });
  }

  private drawHost(lp: number): Asked {
    const { dice } = this;
    const op = dice.pick(ON_ENTRY);
    if (op === 'TDH.MEM.TRACK') return { op, lp, in: { td: 0, regs: { rcx: this.tdr } } };
    const place = dice.pick(this.places);
    const level = op.includes('SEPT') || op.endsWith('MOTE') ? 1 : place.level;
    const gpa = level === 1 ? place.gpa - (place.gpa % 0x20_0000) : place.gpa;
    const large = op === 'TDH.MEM.PAGE.AUG' && level === 1;
    const r8 = WITH_PAGE.has(op) ? { r8: dice.pick(large ? POOLS.large : POOLS.small) } : {};
    const r9 = op === 'TDH.MEM.PAGE.ADD' ? { r9: SOURCE } : {};
    const regs = { rcx: hexOf(BigInt(gpa + level)), rdx: this.tdr, ...r8, ...r9 };
    return { op, lp, in: { td: 0, gpa: hexOf(BigInt(gpa)), level, version: 0, regs } };
  }

  private drawGuest(): Asked {
    const {
      dice,
      recorder: { u },
    } = this;
    const slot = this.recorder.slot(0);
    const state = word(u, slot.tdvpr[0] ?? 0, VP.STATE);
    const on = { vcpu: 0, td: 0 };
    if (state !== VCPU_ACTIVE)
      return { op: 'TDH.VP.ENTER', lp: 0, in: { ...on, regs: { rcx: this.tdvpr } } };
    if (dice.percent(30)) return { op: 'HW.TD.EXIT', lp: 0, in: on };
    const { gpa, level } = dice.pick(this.places);
    const regs = { rcx: hexOf(BigInt(gpa + level)) };
    return {
      op: 'TDG.MEM.PAGE.ACCEPT',
      lp: 0,
      in: { ...on, gpa: hexOf(BigInt(gpa)), level, regs },
    };
  }
}
