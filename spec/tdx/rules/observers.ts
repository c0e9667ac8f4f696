/**
 * What several rules have to know of a run: which calls are in flight, and who holds which lock.
 * Both are kept beside the module's own words, so that a module whose words are wrong does not fool
 * the rules; one of each watches a module, whatever the number of rules that ask.
 */
import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { EXCLUSIVE, type LockListener, type Mode } from '../locks.ts';
import type { ModuleListener, TdxModule } from '../module.ts';
import { MODULE_HALT, type Status } from '../status.ts';

/** The calls in flight, by actor. */
export class OpenCalls implements ModuleListener {
  private readonly tdx: TdxModule;
  /** By actor, code that no actor runs (-1) first. */
  private readonly byActor: (Call | undefined)[] = [];
  private open = 0;
  private halted = false;

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.byActor.length = 0;
      this.open = 0;
      this.halted = false;
    });
  }

  began(call: Call): void {
    this.open++;
    this.byActor[this.tdx.m.current + 1] = call;
  }

  ended(_call: Call, status: Status): void {
    this.open--;
    this.byActor[this.tdx.m.current + 1] = undefined;
    this.halted ||= status === MODULE_HALT;
  }

  /** Nothing is half done: no call is in flight, and none was left where a halt stopped it. */
  get quiet(): boolean {
    return this.open === 0 && !this.halted;
  }

  /** The call that the actor now stepping makes. */
  get current(): Call | undefined {
    return this.byActor[this.tdx.m.current + 1];
  }

  /** Calls, of whichever actor, that are about the entry at `cell`. */
  on(cell: Cell): Call[] {
    return this.byActor.filter((call) => call?.entryCell === cell) as Call[]; // filter lets no undefined pass
  }
}

/** The observer of calls of `tdx`. It hears of each call before whoever asks for it does. */
export function openCalls(tdx: TdxModule): OpenCalls {
  const known = tdx.listeners.find((listener) => listener instanceof OpenCalls);
  if (known !== undefined) return known;
  const calls = new OpenCalls(tdx);
  tdx.listeners.push(calls);
  return calls;
}

/** What an actor holds of a lock: 1 for a shared hold, {@link ALONE} for an exclusive one. */
interface Hold {
  readonly cell: Cell;
  readonly actor: number;
  count: number;
}

/**
 * Who holds which lock. Few are held at a time: searching a list of them costs less than hashing
 * would.
 */
export class Holders implements LockListener {
  private readonly tdx: TdxModule;
  private readonly holds: Hold[] = [];

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.holds.length = 0;
    });
  }

  taken(cell: Cell, mode: Mode): void {
    this.count(cell, mode === EXCLUSIVE ? ALONE : 1);
  }

  refused(): void {}

  released(cell: Cell, mode: Mode): void {
    this.count(cell, mode === EXCLUSIVE ? -ALONE : -1);
  }

  private count(cell: Cell, delta: number): void {
    const { holds } = this;
    const hold = this.find(cell);
    if (hold === undefined) holds.push({ cell, actor: this.tdx.m.current, count: delta });
    else if ((hold.count += delta) === 0) {
      holds[holds.indexOf(hold)] = holds[holds.length - 1] as Hold; // it has at least this one
      holds.pop();
    }
  }

  /** What the actor now stepping holds of `cell`. */
  private find(cell: Cell): Hold | undefined {
    for (const hold of this.holds)
      if (hold.cell === cell && hold.actor === this.tdx.m.current) return hold;
    return undefined;
  }

  /** Shared holds of `cell`, plus {@link ALONE} for each exclusive one. */
  of(cell: Cell): number {
    let held = 0;
    for (const hold of this.holds) if (hold.cell === cell) held += hold.count;
    return held;
  }

  /** The part of {@link of} that belongs to the actor now stepping. */
  ofCurrent(cell: Cell): number {
    return this.find(cell)?.count ?? 0;
  }

  /** All that the actor now stepping holds, in the numbers of {@link of}. */
  get totalOfCurrent(): number {
    let held = 0;
    for (const hold of this.holds) if (hold.actor === this.tdx.m.current) held += hold.count;
    return held;
  }

  /** Does the actor now stepping hold `cell` in `mode`? */
  isHeld(cell: Cell, mode: Mode): boolean {
    return mode === EXCLUSIVE ? this.ofCurrent(cell) >= ALONE : this.ofCurrent(cell) > 0;
  }
}

/** An exclusive hold, in the numbers of {@link Holders}: more than there are shared ones. */
export const ALONE = 1 << 16;

/** The observer of locks of `tdx`. It hears of each lock before whoever asks for it does. */
export function holdersOf(tdx: TdxModule): Holders {
  const known = tdx.locks.listeners.find((listener) => listener instanceof Holders);
  if (known !== undefined) return known;
  const holders = new Holders(tdx);
  tdx.locks.listeners.push(holders);
  return holders;
}
