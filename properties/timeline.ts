/**
 * What happened in a run, as rows: one for each call of the module, each change of the mirror, each access of the
 * guest. Taken from a second execution of the history, on a VM of its own, with everything watched.
 */
import type { Call } from '../spec/tdx/call.ts';
import { describeEntry, withoutLocks } from '../spec/tdx/entry.ts';
import { describeStatus } from '../spec/tdx/status.ts';
import { describeSpte } from '../spec/kvm/spte.ts';
import type { Violation } from '../spec/machine/rule.ts';
import type { PageRef } from '../spec/machine/pages.ts';
import { pageOfSpte, isPresent, kindOfSpte, TABLE } from '../spec/kvm/spte.ts';
import type { Vm } from '../impl/vm.ts';
import { Engine, type EngineOptions } from './engine.ts';
import { formatOperation } from './text.ts';
import type { History } from './history.ts';

/** One visible action. */
export interface Row {
  readonly actor: number;
  /** The operation it belongs to, e.g. `unmap 0+2`. */
  readonly operation: string;
  readonly text: string;
  /** What it changed, as `before -> after`, or nothing. */
  change: string;
  /** Names of what it changed or took, and of what it depends on: the slice follows them backwards. */
  readonly writes: Set<string>;
  readonly reads: Set<string>;
  /** The row at which the rule fired. */
  violating: boolean;
}

export interface Timeline {
  readonly rows: readonly Row[];
  readonly actors: readonly string[];
  readonly violation: Violation | null;
  /** The violation was found after the last actor had ended. */
  readonly atRest: boolean;
}

/** Runs `history` and tells what happened. */
export function timelineOf(options: EngineOptions, history: History): Timeline {
  const engine = new Engine(options);
  const scribe = new Scribe(engine.vm, history);
  const violation = engine.run(history, { wrote: () => {}, note: (text) => scribe.phase(text) });
  const rows = scribe.finish(violation);
  const atRest = violation !== null && !rows.some((row) => row.violating);
  return { rows, actors: scribe.names, violation, atRest };
}

/** A call that has begun: its row comes when it ends, and one for its beginning if anything came between. */
interface OpenCall {
  readonly call: Call;
  readonly began: Row;
  readonly position: number;
  change: string;
}

class Scribe {
  readonly names: string[] = [];
  private readonly vm: Vm;
  private readonly history: History;
  private rows: Row[] = [];
  private readonly open = new Map<number, OpenCall>();
  /** Where mirror tables are, for naming their entries: level and first GFN. */
  private readonly tables = new Map<PageRef, { level: number; gfn: number }>();
  private currentPhase = '';

  constructor(vm: Vm, history: History) {
    this.vm = vm;
    this.history = history;
    this.tables.set(vm.mirror.root, { level: vm.mirror.rootLevel, gfn: 0 });
    vm.tdx.listeners.push({
      began: (call) => this.callBegan(call),
      ended: (call) => this.callEnded(call),
      entryWritten: (_cell, before, after) => {
        const open = this.open.get(this.actor);
        if (open === undefined || withoutLocks(before) === withoutLocks(after)) return;
        open.change = `${describeEntry(withoutLocks(before))} -> ${describeEntry(withoutLocks(after))}`;
      },
    });
    vm.tdx.locks.listeners.push({
      taken: (cell) => this.open.get(this.actor)?.began.writes.add(`lock ${cell}`),
      refused: (cell) => this.open.get(this.actor)?.began.reads.add(`lock ${cell}`),
      released: () => {},
    });
    vm.mirror.listeners.push((table, index, before, after) => this.mirrorWritten(table, index, before, after));
    vm.listeners.push({
      accessed: (_vcpu, gfn, page, value, written) => {
        const text = written === null ? `reads GFN ${gfn}` : `writes ${written} at GFN ${gfn}`;
        this.add(text, `page ${page}, was ${value}`, [`data ${gfn}`], [`data ${gfn}`, ...entryNames(this.vm, gfn, 0)]);
      },
      hostTouched: (page) => this.add(`host uses page ${page}`, '', [`page ${page}`], [`page ${page}`]),
    });
  }

  private get actor(): number {
    return this.vm.m.current;
  }

  phase(text: string): void {
    this.currentPhase = text;
  }

  private operation(): string {
    if (this.currentPhase !== '') return this.currentPhase;
    const actor = this.vm.m.actors[this.actor];
    const operation = this.history.actors[this.actor]?.operations[actor?.op ?? 0];
    return operation === undefined ? (actor?.name ?? '') : formatOperation(operation);
  }

  private row(text: string, change: string, writes: readonly string[], reads: readonly string[]): Row {
    const name = this.vm.m.actors[this.actor]?.name ?? '';
    if (name !== '') this.names[this.actor] = name;
    return {
      actor: this.actor, operation: this.operation(), text, change,
      writes: new Set(writes), reads: new Set(reads), violating: false,
    };
  }

  private add(text: string, change: string, writes: readonly string[], reads: readonly string[]): void {
    this.rows.push(this.row(text, change, writes, reads));
    this.markIfViolated();
  }

  private callBegan(call: Call): void {
    const began = this.row(`${shortName(call.name)}${this.operandOf(call)} begins`, '', [], []);
    this.open.set(this.actor, { call, began, position: this.rows.length, change: '' });
  }

  private callEnded(call: Call): void {
    const open = this.open.get(this.actor);
    if (open === undefined) return;
    this.open.delete(this.actor);
    const names = this.namesOf(call);
    const row = this.row(`${shortName(call.name)}${this.operandOf(call)} ${arrow(describeStatus(call.status))}`, open.change,
      open.change === '' ? [] : names.own, [...names.own, ...names.above]);
    if (call.exitReason >= 0) row.change = `TD exit ${call.exitReason}`;
    for (const name of open.began.writes) if (!name.startsWith('lock')) row.writes.add(name);
    for (const name of open.began.reads) row.reads.add(name);
    if (open.position < this.rows.length) this.rows.splice(open.position, 0, open.began);
    this.rows.push(row);
    this.markIfViolated();
  }

  private namesOf(call: Call): { own: string[]; above: string[] } {
    if (!/MEM|ACCEPT/.test(call.name) || call.name.endsWith('TRACK')) return { own: ['epoch'], above: [] };
    const level = call.in.rcx % 8;
    const [own = '', ...above] = entryNames(this.vm, Math.floor(call.in.rcx / 4096), level);
    return { own: [own], above };
  }

  private operandOf(call: Call): string {
    if (call.in.vcpu >= 0 || (call.name.startsWith('TDH.MEM') && !call.name.endsWith('TRACK'))) {
      return ` ${Math.floor(call.in.rcx / 4096)}@L${call.in.rcx % 8}`;
    }
    return '';
  }

  private mirrorWritten(table: PageRef, index: number, before: number, after: number): void {
    const place = this.tables.get(table) ?? { level: 0, gfn: 0 };
    const gfn = place.gfn + index * this.vm.mirror.span(place.level);
    if (isPresent(after) && kindOfSpte(after) === TABLE) this.tables.set(pageOfSpte(after), { level: place.level - 1, gfn });
    const name = `mirror ${gfn}@L${place.level}`;
    this.add(name, `${describeSpte(before)} -> ${describeSpte(after)}`, [name, `entry ${gfn}@L${place.level}`], [name]);
  }

  private markIfViolated(): void {
    const last = this.rows.at(-1);
    if (this.vm.m.violation !== null && last !== undefined && !this.rows.some((row) => row.violating)) last.violating = true;
  }

  /** The rows, with the beginnings of calls that never ended. */
  finish(violation: Violation | null): Row[] {
    for (const open of this.open.values()) {
      if (violation !== null && violation.actor === open.began.actor) continue;
      this.rows.splice(open.position, 0, open.began);
    }
    return this.rows;
  }
}

/** Names of the entry that maps `gfn` at `level`, and of those above it up to the root. */
function entryNames(vm: Vm, gfn: number, level: number): string[] {
  const names: string[] = [];
  for (let at = level; at <= vm.mirror.rootLevel; at++) names.push(`entry ${vm.tdx.geometry.align(gfn, at)}@L${at}`);
  return names;
}

const shortName = (name: string): string => name.replace(/^TD[HG]\.(MEM\.)?/, '');
const arrow = (status: string): string => `-> ${status.replace(/^TDX_/, '')}`;
