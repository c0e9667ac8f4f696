/**
 * What several rules have to know of a run: which calls are in flight, and who holds which lock. Both are kept beside
 * the module's own words, so that a module whose words are wrong does not fool the rules; one of each watches a module,
 * whatever the number of rules that ask.
 */
import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { EXCLUSIVE, type LockListener, type Mode } from '../locks.ts';
import type { ModuleListener, TdxModule } from '../module.ts';
import { MODULE_HALT, type Status } from '../status.ts';

/** The calls in flight, by actor. */
export class OpenCalls implements ModuleListener {
  private readonly tdx: TdxModule;
  private readonly byActor = new Map<number, Call>();
  private halted = false;

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.byActor.clear();
      this.halted = false;
    });
  }

  began(call: Call): void {
    this.byActor.set(this.tdx.m.current, call);
  }

  ended(_call: Call, status: Status): void {
    this.byActor.delete(this.tdx.m.current);
    this.halted ||= status === MODULE_HALT;
  }

  /** Nothing is half done: no call is in flight, and none was left where a halt stopped it. */
  get quiet(): boolean {
    return this.byActor.size === 0 && !this.halted;
  }

  /** The call that the actor now stepping makes. */
  get current(): Call | undefined {
    return this.byActor.get(this.tdx.m.current);
  }

  [Symbol.iterator](): IterableIterator<Call> {
    return this.byActor.values();
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

/** More than the actors of a run, with the -1 that stands for none. */
const ACTORS = 256;

/** Who holds which lock. A shared hold counts 1, an exclusive one {@link ALONE}. */
export class Holders implements LockListener {
  private readonly tdx: TdxModule;
  private readonly held = new Map<Cell, number>();
  private readonly heldBy = new Map<number, number>();
  /** By actor. */
  private readonly total = new Map<number, number>();

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.held.clear();
      this.heldBy.clear();
      this.total.clear();
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
    this.held.set(cell, this.of(cell) + delta);
    const key = this.key(cell);
    this.heldBy.set(key, (this.heldBy.get(key) ?? 0) + delta);
    this.total.set(this.tdx.m.current, this.totalOfCurrent + delta);
  }

  private key(cell: Cell): number {
    return cell * ACTORS + this.tdx.m.current + 1;
  }

  /** Shared holds of `cell`, plus {@link ALONE} for each exclusive one. */
  of(cell: Cell): number {
    return this.held.get(cell) ?? 0;
  }

  /** The part of {@link of} that belongs to the actor now stepping. */
  ofCurrent(cell: Cell): number {
    return this.heldBy.get(this.key(cell)) ?? 0;
  }

  /** All that the actor now stepping holds, in the numbers of {@link of}. */
  get totalOfCurrent(): number {
    return this.total.get(this.tdx.m.current) ?? 0;
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
