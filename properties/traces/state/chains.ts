/**
 * Checks that the old value of an SPTE is the value last written to it. Three differences are
 * explained: A and D, which the hardware sets; the permission to execute, in entries that a split
 * filled in; and the order of events. A task emits its event after the write, and a task that the
 * lock does not exclude may have emitted the event of a later write by then. A change that does not
 * fit can therefore wait for an event that explains it.
 */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { BrokenChain, Change, Fit } from './change.ts';
import { EMPTY, ENTRIES, FROZEN, frameOf, kindOf, LEAF } from './spte.ts';
import { PREFILLED, UNKNOWN, type Table } from './table.ts';
import { SHARED } from './task.ts';
import type { World } from './world.ts';

/** Number of lines within which the event of an earlier write has to follow. */
const LATENESS = 16_384;
const NOTHING: Halves = { hi: 0, lo: 0 };

interface OpenChain extends BrokenChain {
  /** Last line at which an event can explain it. */
  readonly until: number;
  isExplained: boolean;
}

/** Number of one entry of a table: tables have frames of their own. */
const placeOf = ({ frame }: Table, index: number): number => frame * ENTRIES + index;

/** Chains that an event to come may explain, by their entry and in order of their lines. */
class OpenChains {
  private readonly queue: OpenChain[] = [];
  /** Index of the oldest in the queue. */
  private oldest = 0;
  private readonly byPlace = new Map<number, OpenChain[]>();

  get isEmpty(): boolean {
    return this.byPlace.size === 0;
  }

  add(chain: OpenChain): void {
    this.queue.push(chain);
    const place = placeOf(chain.table, chain.index);
    const here = this.byPlace.get(place);
    if (here === undefined) this.byPlace.set(place, [chain]);
    else here.push(chain);
  }

  /** Removes the oldest chain of an entry that `explains` accepts. Returns whether it found one. */
  explain(table: Table, index: number, explains: (chain: OpenChain) => boolean): boolean {
    const chain = this.byPlace
      .get(placeOf(table, index))
      ?.find((open) => open.table === table && explains(open));
    if (chain === undefined) return false;
    chain.isExplained = true;
    this.drop(chain);
    return true;
  }

  /** Removes and returns the chains that no event from `line` on can explain, oldest first. */
  expired(line: number): OpenChain[] {
    const expired: OpenChain[] = [];
    for (; this.oldest < this.queue.length; this.oldest++) {
      const chain = this.queue[this.oldest];
      if (chain === undefined || chain.until >= line) break;
      if (chain.isExplained) continue;
      this.drop(chain);
      expired.push(chain);
    }
    if (this.oldest > LATENESS) {
      this.queue.splice(0, this.oldest);
      this.oldest = 0;
    }
    return expired;
  }

  clear(): void {
    this.queue.length = 0;
    this.oldest = 0;
    this.byPlace.clear();
  }

  private drop(chain: OpenChain): void {
    const place = placeOf(chain.table, chain.index);
    const here = this.byPlace.get(place)?.filter((open) => open !== chain) ?? [];
    if (here.length === 0) this.byPlace.delete(place);
    else this.byPlace.set(place, here);
  }
}

export class Chains {
  private readonly world: World;
  private readonly open = new OpenChains();

  constructor(world: World) {
    this.world = world;
    world.listeners.ending.pushState(() => this.giveUp(Number.POSITIVE_INFINITY));
    world.listeners.forgetting.pushState(() => this.open.clear());
  }

  /** Decides how `c` fits, before any listener hears of `c`. */
  fit(c: Change, layout: SpteLayout): Fit {
    const { open } = this;
    if (!open.isEmpty) {
      this.giveUp(c.line);
      if (this.isLate(c)) return 'late';
    }
    const { table } = c;
    if (table === null || c.known === UNKNOWN || table.life === 'initialised') return 'unknown';
    if (table.root === null && this.world.kernel?.changesNameTables === false) return 'unknown';
    if (c.oldLo === c.modelLo && c.oldHi === c.modelHi) return 'fits';
    if (this.isExplained(c, layout)) return 'fits';
    if (!this.mayBeExplained(c, layout)) return 'odd';
    open.add({ ...this.broken(c), until: c.line + LATENESS, isExplained: false });
    return 'open';
  }

  /** Describes a change that does not fit. */
  broken(c: Change): BrokenChain {
    const { vm, task, line, table, index, level, mode, direct, known } = c;
    if (table === null) throw new Error('a change in an unknown table cannot break a chain');
    return {
      line,
      text: this.world.e.text(),
      task,
      vm,
      table,
      index,
      level,
      mode,
      direct,
      known,
      fromHi: c.modelHi,
      fromLo: c.modelLo,
      fromLine: c.modelLine,
      toHi: c.oldHi,
      toLo: c.oldLo,
    };
  }

  private isLate({ table, index, task, oldHi, oldLo, newHi, newLo }: Change): boolean {
    if (table === null) return false;
    // a task with an event after the open change wrote later than it, and does not explain it
    return this.open.explain(
      table,
      index,
      (open) =>
        open.task !== task &&
        task.lastLine < open.line &&
        open.fromLo === oldLo &&
        open.fromHi === oldHi &&
        open.toLo === newLo &&
        open.toHi === newHi,
    );
  }

  private isExplained(c: Change, layout: SpteLayout): boolean {
    const [hi, lo] = [c.oldHi ^ c.modelHi, c.oldLo ^ c.modelLo];
    if (c.oldKind === LEAF) {
      const free = c.known === PREFILLED ? layout.toExecute : NOTHING;
      const set = layout.accessed.lo | layout.dirty.lo;
      return (hi & ~free.hi) === 0 && (lo & ~(set | free.lo)) === 0 && (c.modelLo & lo & set) === 0;
    }
    // an entry that was frozen while it was zapped, and then made empty without an event
    return (
      this.world.kernel?.thawsUntraced === true &&
      c.oldKind === EMPTY &&
      c.table?.isLive === true &&
      kindOf(layout, c.level, c.modelHi, c.modelLo) === FROZEN
    );
  }

  /** Whether another task may have written meanwhile, with its event still to come. */
  private mayBeExplained(c: Change, layout: SpteLayout): boolean {
    const kind = kindOf(layout, c.level, c.modelHi, c.modelLo);
    if (kind === LEAF && c.oldKind === LEAF) {
      const lockless = layout.accessed.lo | layout.dirty.lo | layout.writable.lo;
      return c.oldHi === c.modelHi && ((c.oldLo ^ c.modelLo) & ~lockless) === 0;
    }
    if (
      kind === LEAF &&
      frameOf(c.modelHi, c.modelLo) !== frameOf(c.oldHi, c.oldLo) &&
      c.known === PREFILLED
    )
      return false;
    if (c.mode !== SHARED && !c.direct) return false;
    for (const task of this.world.holdersOf(c.vm.id)) {
      if (task !== c.task && task.holdOn(c.vm.id)?.mode === SHARED) return true;
    }
    return false;
  }

  /** Reports the open chains that no event before `line` explained. */
  private giveUp(line: number): void {
    for (const broken of this.open.expired(line))
      for (const listener of this.world.listeners.chainBroken.all) listener(broken);
  }
}
