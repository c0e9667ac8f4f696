/** Reads changes of SPTEs from events, passes them to listeners, and updates the tables. */
import type { TraceEvent } from '../reader/event.ts';
import { asIdOf, isOfMirror, levelOf } from './addresses.ts';
import { Chains } from './chains.ts';
import { Change } from './change.ts';
import { gfnOfFault, indexOfFault, tableOfFault } from './fast-faults.ts';
import { link, unlink } from './links.ts';
import { kindIn, resolve } from './resolve.ts';
import { frameOf, has, indexOf, kindOf, LEAF, pagesAt, TABLE } from './spte.ts';
import { UNKNOWN } from './table.ts';
import { EXCLUSIVE, SHARED, type Task } from './task.ts';
import { isTracked, restored } from './tracking.ts';
import { Vm } from './vm.ts';
import type { World } from './world.ts';

/** GFN and level of a change, as one number. */
const LEVELS = 8;
const entryKeyOf = (gfn: number, level: number): number => gfn * LEVELS + level;

class Changes {
  private readonly world: World;
  private readonly chains: Chains;
  private readonly c = new Change();
  /** Keys of changes that `chg` has reported and whose tracepoint is still to come. */
  private readonly unknownVm = new Vm(0, '');
  private readonly announced = new Map<Task, number[]>();

  constructor(world: World) {
    this.world = world;
    this.chains = new Chains(world);
    world.onState('chg', (e, task) => this.onChange(e, task));
    world.onState('kvm_tdp_mmu_spte_changed', (e, task) => this.onTracepoint(e, task));
    world.onState('fast_page_fault', (e, task) => this.onFastPageFault(e, task));
    world.listeners.releasing.pushState((task) => this.announced.delete(task));
    world.listeners.forgetting.pushState(() => this.announced.clear());
  }

  private onChange(e: TraceEvent, task: Task): void {
    const { c, world } = this;
    const vm = world.vmOf(e, task);
    this.begin(e, task);
    c.vm = vm;
    c.gfn = e.number('gfn');
    c.level = e.number('level');
    c.asId = e.has('role') ? asIdOf(e) : e.low('as_id');
    c.mode = e.low('shared') === 0 ? EXCLUSIVE : SHARED;
    this.values(e);
    this.announce(task);
    const frame = e.has('spt') ? world.frameAt(e.number('spt')) : Number.NaN;
    if (!Number.isNaN(frame)) {
      const at = indexOf(c.gfn, c.level);
      c.table = world.tableAt(frame, vm, c.asId, levelOf(e), c.gfn - at * pagesAt(c.level));
      c.index = at;
      if (isOfMirror(e)) c.table.mirror = true;
    } else this.resolve();
    this.apply();
  }

  private announce(task: Task): void {
    const key = entryKeyOf(this.c.gfn, this.c.level);
    const known = this.announced.get(task);
    if (known === undefined) this.announced.set(task, [key]);
    else known.push(key);
  }

  /** Handles changes that bypass `chg`: aging, and write-protection for the dirty log. */
  private onTracepoint(e: TraceEvent, task: Task): void {
    const { c, world } = this;
    const [gfn, level] = [e.number('gfn'), e.number('level')];
    const announced = this.announced.get(task);
    const at = announced?.lastIndexOf(entryKeyOf(gfn, level)) ?? -1;
    if (at >= 0) {
      announced?.splice(at, 1);
      return;
    }
    if (world.kernel === null) return;
    this.begin(e, task);
    c.gfn = gfn;
    c.level = level;
    c.asId = e.low('as_id');
    this.values(e);
    c.direct = c.oldKind === LEAF && c.newKind === LEAF;
    if (!world.hasSeen('chg')) {
      this.ofUnknownVm();
      return;
    }
    if (task.vm === null) {
      this.forgetIn(world.vms.values());
      return;
    }
    c.vm = task.vm;
    this.resolve();
    this.apply();
  }

  /** A change in a trace of KVM's own tracepoints, which name neither VM nor table. */
  private ofUnknownVm(): void {
    const { c, world } = this;
    c.vm = this.unknownVm;
    c.fit = 'unknown';
    for (const listener of world.listeners.changing.all) listener(c);
  }

  private onFastPageFault(e: TraceEvent, task: Task): void {
    const { c, world } = this;
    if (world.kernel === null) return;
    const table = tableOfFault(world, e, task);
    if (e.low('fixed') === 0) return;
    if (table === null) {
      this.forgetFault(e, task);
      return;
    }
    const {
      layout,
      layout: { writable },
    } = world.kernel;
    this.begin(e, task);
    c.vm = table.vm;
    c.table = table;
    c.index = indexOfFault(e, table);
    c.gfn = table.gfnOf(c.index);
    c.level = table.level;
    c.asId = table.asId;
    c.direct = true;
    c.fast = true;
    c.oldHi = e.high('old');
    c.oldLo = e.low('old');
    // the event's new value was read after the write, and may be a later one
    const isRestored = isTracked(layout, c.oldHi, c.oldLo);
    const { hi, lo } = isRestored
      ? restored(layout, c.oldHi, c.oldLo)
      : { hi: c.oldHi, lo: c.oldLo };
    const setsWritable = !isRestored || has(writable, e.high('new'), e.low('new'));
    c.newHi = setsWritable ? hi | writable.hi : hi;
    c.newLo = setsWritable ? lo | writable.lo : lo;
    this.kinds();
    this.apply();
  }

  private begin(e: TraceEvent, task: Task): void {
    const { c } = this;
    c.task = task;
    c.line = e.line;
    c.table = null;
    c.mode = null;
    c.direct = false;
    c.fast = false;
  }

  private values(e: TraceEvent): void {
    const { c } = this;
    c.oldHi = e.high('old');
    c.oldLo = e.low('old');
    c.newHi = e.high('new');
    c.newLo = e.low('new');
    this.kinds();
  }

  private kinds(): void {
    const {
      c,
      world: { kernel },
    } = this;
    if (kernel === null) return;
    c.oldKind = kindOf(kernel.layout, c.level, c.oldHi, c.oldLo);
    c.newKind = kindOf(kernel.layout, c.level, c.newHi, c.newLo);
  }

  private resolve(): void {
    const { c } = this;
    c.index = indexOf(c.gfn, c.level);
    c.table = resolve(this.world, c);
  }

  private apply(): void {
    const { c, world, chains } = this;
    const { table, index } = c;
    if (world.kernel === null) return;
    c.known = table?.known[index] ?? UNKNOWN;
    c.modelHi = table?.hi[index] ?? 0;
    c.modelLo = table?.lo[index] ?? 0;
    c.modelLine = table?.lines[index] ?? 0;
    c.fit = chains.fit(c, world.kernel.layout);
    c.vm.addressSpaces.add(c.asId);
    for (const listener of world.listeners.changing.all) listener(c);
    if (c.fit === 'odd')
      for (const listener of world.listeners.chainBroken.all) listener(chains.broken(c));
    if (c.fit !== 'late') this.update(table);
  }

  private update(table: Change['table']): void {
    const { c, world } = this;
    if (
      c.newKind === TABLE &&
      !(c.oldKind === TABLE && frameOf(c.oldHi, c.oldLo) === frameOf(c.newHi, c.newLo))
    ) {
      link(world, c);
    }
    if (c.oldKind === TABLE && c.newKind !== TABLE) unlink(world, c);
    if (table === null) this.forgetIn([c.vm]);
    else table.set(c.index, c.newHi, c.newLo, c.line);
  }

  /** A fast page fault has changed an entry that is not known. */
  private forgetFault(e: TraceEvent, task: Task): void {
    const { world } = this;
    world.unplaced++;
    const gfn = gfnOfFault(e);
    for (const { tables } of task.runs === null ? world.vms.values() : [task.runs])
      for (const table of tables)
        if (table.covers(gfn) && kindIn(world, table, gfn) === LEAF)
          table.known[indexOf(gfn, table.level)] = UNKNOWN;
  }

  /** Forgets the entry in every table of these VMs that the change may have been in. */
  private forgetIn(vms: Iterable<Vm>): void {
    const { c } = this;
    for (const { tables } of vms) {
      for (const table of tables) {
        if (table.level === c.level && table.covers(c.gfn))
          table.known[indexOf(c.gfn, c.level)] = UNKNOWN;
      }
    }
  }
}

/** Follows the changes of SPTEs in a world. */
export const followChanges = (world: World): Changes => new Changes(world);
