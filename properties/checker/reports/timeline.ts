/**
 * The timeline of a run: a row for each SEAMCALL, each change of the mirror and each access by the
 * guest. It is recorded from an execution of the scenario on a VM of its own.
 *
 * If one actor freezes a mirror entry, calls the module and writes the entry, and no other actor
 * runs in between, this is one row. Otherwise each is a row of its own.
 */
import type { Vm } from '../../../impl/vm/vm.ts';
import { kindOfSpte, pageOfSpte, TABLE } from '../../../spec/kvm/spte.ts';
import { SLOT_INVALID } from '../../../spec/kvm/td-vm.ts';
import { entryAt } from '../../../spec/machine/levels.ts';
import { MAX_ACTORS } from '../../../spec/machine/machine.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { NO_PAGE, type PageRef } from '../../../spec/machine/pages.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { isLeaf, isTable, pageOf, withoutLocks, type Entry } from '../../../spec/tdx/entry.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import { Engine, type EngineOptions } from '../engine.ts';
import { vmOf, type Scenario } from '../scenarios/scenario.ts';
import { formatOperation } from '../scenarios/text.ts';
import { watchKvm } from './kvm-rows.ts';
import { entryNames, shortEntry, shortSpte, shortStatus } from './labels.ts';
import { canMerge, merge, withNames, type Row } from './row.ts';

/** The rows of a run, and the violation that ended it, if any. */
export interface Timeline {
  readonly rows: readonly Row[];
  /** Names of the actors, by index. */
  readonly actors: readonly string[];
  readonly violation: Violation | null;
}

/** Runs `scenario` and records its timeline. */
export function timelineOf(options: EngineOptions, scenario: Scenario): Timeline {
  const engine = new Engine({ ...options, ...vmOf(scenario) });
  const timeline = new TimelineRecorder(engine.vm, scenario);
  const violation = engine.run(scenario, {
    wrote: () => {},
    note: (text) => timeline.beginPhase(text),
  });
  return { rows: timeline.finish(violation), actors: timeline.names, violation };
}

/** A call in progress. Its begin gets a row if another actor runs before the call ends. */
interface OpenCall {
  readonly row: Row;
  readonly position: number;
}

/** Index of the actor that destroys the VM, after those of the program and of the run. */
export const DESTROYER = MAX_ACTORS;

class TimelineRecorder {
  readonly names: string[] = [];
  private readonly vm: Vm;
  private readonly scenario: Scenario;
  private readonly rows: Row[] = [];
  private readonly open = new Map<number, OpenCall>();
  /** Level and first GFN of each mirror table, to name its entries. */
  private readonly tables = new Map<PageRef, { readonly level: number; readonly gfn: number }>();
  private currentPhase = '';

  constructor(vm: Vm, scenario: Scenario) {
    this.vm = vm;
    this.scenario = scenario;
    this.noteTables(vm.mirror.root, vm.mirror.rootLevel, 0);
    vm.m.onReset(() => this.clear());
    vm.tdx.listeners.push({
      began: (call) => this.callBegan(call),
      ended: (call) => this.callEnded(call),
      entryWritten: (_cell, before, after) =>
        this.entryWritten(withoutLocks(before), withoutLocks(after)),
    });
    vm.tdx.locks.listeners.push({
      taken: (cell) => this.open.get(this.actor)?.row.writes.add(`lock ${cell}`),
      refused: (cell) => this.open.get(this.actor)?.row.reads.add(`lock ${cell}`),
      released: () => {},
    });
    if (vm.kind !== 'vm') this.watchTd();
    else
      watchKvm(vm.kvm, (text, writes, reads) =>
        this.push(withNames(this.row('', text), writes, reads)),
      );
  }

  /** Adds rows for changes of the mirror and for what reaches the TD from outside the module. */
  private watchTd(): void {
    const { vm } = this;
    vm.mirror.listeners.push((table, index, before, after) =>
      this.mirrorWritten(table, index, before, after),
    );
    vm.listeners.push({
      accessed: (_vcpu, gfn, page, value, written) => {
        const text = written === null ? `reads GFN ${gfn}` : `writes ${written} at GFN ${gfn}`;
        const row = this.row('', text, `page ${page}, was ${value}`);
        this.push(
          withNames(
            row,
            [`data ${gfn}`],
            [`data ${gfn}`, `page ${page}`, ...entryNames(vm, gfn, 0)],
          ),
        );
      },
      slotRemovalBegan: (gfn, pages) => {
        const text = `deletes the memslot of GFNs ${gfn}-${gfn + pages - 1}`;
        this.push(withNames(this.row('', text), ['memslot'], []));
      },
      slotFound: (gfn, state) => {
        if (state !== SLOT_INVALID) return;
        this.push(
          withNames(this.row('', `finds the memslot of GFN ${gfn} INVALID`), [], ['memslot']),
        );
      },
      vcpuFreed: () => this.push(this.row('', 'a vCPU is freed')),
      hostTouched: (page) => {
        const name = `page ${page}`;
        this.push(withNames(this.row('', `the host uses ${name}`), [name], [name]));
      },
    });
  }

  /** Notes level and first GFN of a mirror table that exists at the start, and of those below. */
  private noteTables(table: PageRef, level: number, gfn: number): void {
    const { mirror, pages, m } = this.vm;
    if (table === NO_PAGE) return;
    this.tables.set(table, { level, gfn });
    for (let i = 0; i < mirror.fanout; i++) {
      const spte = m.peek(pages.word(table, i));
      if (kindOfSpte(spte) === TABLE)
        this.noteTables(pageOfSpte(spte), level - 1, gfn + i * mirror.span(level));
    }
  }

  /** Begins a run. */
  private clear(): void {
    this.names.length = 0;
    this.rows.length = 0;
    this.open.clear();
    this.tables.clear();
    this.noteTables(this.vm.mirror.root, this.vm.mirror.rootLevel, 0);
    this.currentPhase = '';
  }

  /** The current actor: one of the program or of the run, or the one that destroys the VM. */
  private get actor(): number {
    return this.currentPhase === '' ? this.vm.m.current : DESTROYER;
  }

  /** Begins a phase that is no operation of the scenario, e.g. the teardown. */
  beginPhase(text: string): void {
    this.currentPhase = text;
  }

  private operation(): string {
    const actor = this.vm.m.actors[this.vm.m.current];
    const operation = this.scenario.actors[this.vm.m.current]?.operations[actor?.op ?? 0];
    if (this.currentPhase !== '' || operation === undefined)
      return this.currentPhase || (actor?.name ?? '');
    return formatOperation(operation);
  }

  private row(subject: string, text: string, remark = ''): Row {
    const name = this.vm.m.actors[this.vm.m.current]?.name;
    if (name !== undefined) this.names[this.actor] = name;
    return {
      actor: this.actor,
      operation: this.operation(),
      subject,
      text,
      sept: null,
      mirror: null,
      remark,
      writes: new Set(),
      reads: new Set(),
      violating: false,
    };
  }

  /** Adds a row, or merges it into the last one. */
  private push(row: Row): void {
    const last = this.rows.at(-1);
    if (last === undefined || !canMerge(last, row)) {
      this.rows.push(row);
      return;
    }
    merge(last, row);
  }

  private callBegan(call: Call): void {
    if (this.vm.m.violation !== null) return; // the rest of the step at which a rule broke
    const row = this.row('', `${this.nameOf(call)} begins`);
    this.open.set(this.actor, { row, position: this.rows.length });
  }

  private entryWritten(before: Entry, after: Entry): void {
    const open = this.open.get(this.actor);
    if (open === undefined || before === after) return;
    open.row.sept = { before: shortEntry(before), after: shortEntry(after) };
    for (const e of [before, after])
      if (isLeaf(e) || isTable(e)) open.row.writes.add(`page ${pageOf(e)}`);
  }

  private callEnded(call: Call): void {
    const open = this.open.get(this.actor);
    if (open === undefined) return;
    this.open.delete(this.actor);
    const [own, ...above] = this.entriesOf(call);
    const epoch = MOVES_EPOCH.has(call.name) ? ['epoch'] : [];
    const exit = call.exitReason >= 0 ? 'TD exit: EPT violation' : '';
    const row = this.row(
      own?.replace('entry ', '') ?? '',
      `${this.nameOf(call)} -> ${shortStatus(call.status)}`,
      exit,
    );
    row.sept = open.row.sept;
    open.row.sept = null;
    const changed =
      row.sept === null ? [] : [...(own === undefined ? [] : [own]), ...pagesIn(open.row.writes)];
    const reads = [...(own === undefined ? [] : [own]), ...above, ...epoch, ...open.row.reads];
    withNames(row, [...changed, ...(call.status === SUCCESS ? epoch : [])], reads);
    if (open.position < this.rows.length) this.rows.splice(open.position, 0, open.row);
    this.push(row);
  }

  /** Names of the entry that a call names and of those above it; none for calls without one. */
  private entriesOf(call: Call): string[] {
    if (!HAS_ENTRY.test(call.name)) return [];
    return entryNames(this.vm, Math.floor(call.in.rcx / PAGE_BYTES), call.in.rcx % 8);
  }

  private nameOf(call: Call): string {
    const name = call.name
      .replace(/^TD[HG]\.(MEM\.)?/, '')
      .replace('HW.GUEST.ACCESS', 'walk by the module');
    return HAS_ENTRY.test(call.name)
      ? `${name} ${entryAt(Math.floor(call.in.rcx / PAGE_BYTES), call.in.rcx % 8)}`
      : name;
  }

  private mirrorWritten(table: PageRef, index: number, before: number, after: number): void {
    const place = this.tables.get(table);
    if (place === undefined) return; // a table that is being filled is not visible yet
    const gfn = place.gfn + index * this.vm.mirror.span(place.level);
    const subject = entryAt(gfn, place.level);
    if (kindOfSpte(after) === TABLE)
      this.tables.set(pageOfSpte(after), { level: place.level - 1, gfn });
    const row = withNames(
      this.row(subject, ''),
      [`mirror ${subject}`, `entry ${subject}`],
      [`mirror ${subject}`],
    );
    row.mirror = { before: shortSpte(before), after: shortSpte(after) };
    this.push(row);
  }

  /** The rows, with the begins of calls that never ended, and with the violating row marked. */
  finish(violation: Violation | null): Row[] {
    for (const open of [...this.open.values()].toSorted((a, b) => b.position - a.position)) {
      this.rows.splice(open.position, 0, open.row);
    }
    const actor = this.currentPhase === '' ? violation?.actor : DESTROYER;
    const known = violation !== null && violation.actor >= 0;
    const violating = known ? this.rows.findLast((row) => row.actor === actor) : undefined;
    if (violating !== undefined) violating.violating = true;
    return this.rows;
  }
}

/** Calls that advance TD_EPOCH or count vCPUs in it. */
const MOVES_EPOCH = new Set(['TDH.MEM.TRACK', 'TDH.VP.ENTER']);

/** Calls whose RCX names an S-EPT entry. */
const HAS_ENTRY = /^TDH\.MEM\.(SEPT|PAGE|RANGE)|ACCEPT$|^HW\.GUEST/;

const pagesIn = (all: ReadonlySet<string>): string[] =>
  [...all].filter((name) => name.startsWith('page '));
