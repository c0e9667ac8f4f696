/**
 * The TDX module: its state, and how a call of an interface function runs.
 *
 * One `TdxModule` is one platform: physical memory with its PAMT, the key ownership table, any
 * number of TDs. Every function is a generator that announces its steps. Run with `atomically` it
 * is the sequential specification; run by the scheduler it is the concurrent one. Both are the same
 * code.
 *
 * Source: intel/tdx-module 1.5.01, src/vmm_dispatcher/tdx_vmm_dispatcher.c: tdx_vmm_dispatcher();
 * src/td_dispatcher/tdx_td_dispatcher.c: td_call().
 */
import { Geometry } from '../machine/geometry.ts';
import type { Cell, Machine } from '../machine/machine.ts';
import type { Memory } from '../machine/memory.ts';
import { RELEASE, TRY, WRITE, type Steps, access } from '../machine/step.ts';
import { Call, HELD_ENTRY, lockKindOf, type Operands, type Role } from './call.ts';
import { ENTRY_LOCK, type Entry } from './entry.ts';
import { KeyOwnership } from './keys.ts';
import { EXCLUSIVE, Locks, type Mode } from './locks.ts';
import { Pamt } from './pamt.ts';
import { MODULE_HALT, on, OPERAND_INVALID, OPERANDS, type Status } from './status.ts';
import { TD } from './td.ts';
import type { SeptFunction, SeptLocking, VersionData } from './version.ts';

/** The platform, as far as the module depends on it. */
export interface Platform {
  readonly version: VersionData;
  /** Number of entries of an S-EPT table: 512 in hardware, fewer in exploration. */
  readonly fanout: number;
  /** First page number (HPA bits 51:12) of the one TDMR that memory models. */
  readonly tdmrBase: number;
  /** Lowest HKID bit of a physical address; addresses from there up carry a key id. */
  readonly hkidShift: number;
  /** Private HKIDs, first and last. The first is the module's own; those below are shared. */
  readonly privateHkids: readonly [number, number];
  /** First page number and page count of the module's own memory (SEAMRR), not a legal source. */
  readonly seamrr?: readonly [number, number];
  readonly packages: number;
  /** Number of sub-blocks that PHYMEM.CACHE.WB writes back one after the other. */
  readonly cacheSubBlocks: number;
  /** EPT violations at one RIP before zero-step mitigation lists GPAs; 6 in the module. */
  readonly steppingThreshold: number;
}

/** A function of the interface. */
export interface InterfaceFunction {
  readonly name: string;
  /** The order in which it releases what it holds, on every way out. */
  readonly release: readonly Role[];
  run(tdx: TdxModule, call: Call): Steps<Status>;
}

/** Hears of calls, flushes and entries. Locks have listeners of their own (locks.ts). */
export interface ModuleListener {
  /** A call begins, or ends with `status`. */
  began?(call: Call): void;
  ended?(call: Call, status: Status): void;
  /** VP.ENTER or VP.FLUSH flushed the TD's translations on the vCPU's processor. */
  tlbFlushed?(tdvpr: number): void;
  /** A call has written an S-EPT entry, or its lock bits alone. */
  entryWritten?(cell: Cell, before: Entry, after: Entry, call: Call): void;
}

/** The TDX module: state, versions and calls. */
export class TdxModule {
  readonly m: Machine;
  readonly memory: Memory;
  readonly platform: Platform;
  readonly geometry: Geometry;
  readonly pamt: Pamt;
  readonly locks: Locks;
  readonly keys: KeyOwnership;
  readonly version: VersionData;
  readonly listeners: ModuleListener[] = [];

  /**
   * `pamt` is the table of another module on the same memory, for platforms that are replayed one
   * after the other.
   */
  constructor(memory: Memory, platform: Platform, pamt?: Pamt) {
    this.m = memory.m;
    this.memory = memory;
    this.platform = platform;
    this.version = platform.version;
    this.geometry = new Geometry(platform.fanout);
    this.pamt = pamt ?? new Pamt(this.m, this.geometry, memory.pages, platform.version.dynamicPamt);
    this.locks = new Locks(this.m, platform.version.hostPriority);
    this.keys = new KeyOwnership(this.m, platform);
  }

  locking(fn: SeptFunction): SeptLocking {
    const row: SeptLocking | undefined = this.version.septLocks[fn];
    // a function that a module from outside adds needs not have one
    if (row === undefined)
      throw new Error(`septLocks of module ${this.version.name} has no row for ${fn}`);
    return row;
  }

  /** HPA (bytes) of page number 0. */
  get base(): bigint {
    return BigInt(this.platform.tdmrBase) << 12n;
  }

  /** An entry of the TD with that TDR as memory holds it. */
  rawEntry(e: Entry, tdr: number): bigint {
    return this.version.encoding.toRaw(e, this.base, this.causesVe(tdr));
  }

  /** An entry of the TD with that TDR as functions report it in RCX. */
  reportedEntry(e: Entry, tdr: number): bigint {
    return this.version.encoding.toRegister(e, this.base, this.causesVe(tdr));
  }

  private causesVe(tdr: number): boolean {
    return this.m.peek(this.memory.word(tdr, TD.SEPT_VE_DISABLE)) === 0;
  }

  /**
   * Runs one function, as this version has it, to its end and releases its locks; a halted module
   * releases none. A lock that turns out not to be held halts the module, too.
   */
  *invoke({ name }: { readonly name: string }, operands: Operands): Steps<Call> {
    const fn = this.version.functions.get(name);
    // a caller's mistake, not a status
    if (fn === undefined) throw new Error(`module ${this.version.name} has no ${name}`);
    const call = new Call(name, operands);
    for (const listener of this.listeners) listener.began?.(call);
    call.isUntouched = operands.version !== 0 && !this.version.versionedCalls;
    let status = call.isUntouched ? on(OPERAND_INVALID, OPERANDS.RAX) : yield* fn.run(this, call);
    if (status !== MODULE_HALT) {
      for (const role of fn.release) {
        if (call.isHalted) break;
        if (!call.holds(role)) continue;
        yield access(call.lockOf(role), RELEASE);
        this.releaseNow(call, role);
      }
    }
    if (call.isHalted) status = MODULE_HALT;
    call.status = status;
    for (const listener of this.listeners) listener.ended?.(call, status);
    return call;
  }

  /** One attempt at a lock, held under `role` when it succeeds. */
  *acquire(call: Call, role: Role, cell: Cell, mode: Mode): Steps<boolean> {
    yield access(cell, TRY);
    return this.acquireNow(call, role, cell, mode);
  }

  /** {@link acquire} within the step that announced it. */
  acquireNow(call: Call, role: Role, cell: Cell, mode: Mode): boolean {
    const kind = lockKindOf(role);
    // a caller's mistake, not a status
    if (kind === 'entry') throw new Error('take entry locks with lockEntry()');
    const taken = this.locks.tryNow(cell, kind, mode);
    if (taken) call.hold(role, cell, mode);
    else call.busyLock = cell;
    return taken;
  }

  /** Releases the lock that is held under `role`, if one is, in one step. */
  *release(call: Call, role: Role): Steps<void> {
    if (!call.holds(role)) return;
    yield access(call.lockOf(role), RELEASE);
    this.releaseNow(call, role);
  }

  private releaseNow(call: Call, role: Role): void {
    const mode = call.modeOf(role);
    const cell = call.lockOf(role);
    const kind = lockKindOf(role);
    call.drop(role);
    if (kind === 'entry') this.unlockEntryNow(call, cell);
    else if (mode !== 0) {
      if (!this.locks.isHeld(cell, kind, mode)) call.isHalted = true;
      this.locks.releaseNow(cell, kind, mode);
    }
  }

  /** Writes an S-EPT entry in one step. A value without the lock bit releases the entry lock. */
  *writeEntry(call: Call, cell: Cell, value: Entry): Steps<void> {
    yield access(cell, WRITE);
    const before = this.m.peek(cell);
    this.m.poke(cell, value);
    for (const listener of this.listeners) listener.entryWritten?.(cell, before, value, call);
    if (
      (value & ENTRY_LOCK) === 0 &&
      call.modeOf(HELD_ENTRY) !== 0 &&
      call.lockOf(HELD_ENTRY) === cell
    ) {
      call.drop(HELD_ENTRY);
      this.locks.notify('released', cell, EXCLUSIVE);
    }
  }

  /** Clears the lock bit of an entry in one step, and keeps the host-priority bit. */
  *unlockEntry(call: Call, cell: Cell): Steps<void> {
    yield access(cell, RELEASE);
    this.unlockEntryNow(call, cell);
  }

  private unlockEntryNow(call: Call, cell: Cell): void {
    const before = this.m.peek(cell);
    const after = before & ~ENTRY_LOCK;
    if (before === after) call.isHalted = true;
    this.m.poke(cell, after);
    for (const listener of this.listeners) listener.entryWritten?.(cell, before, after, call);
    this.locks.notify('released', cell, EXCLUSIVE);
  }

  /** Whether a function that the version interrupts before it commits finds an interrupt. */
  isInterrupted(call: Call): boolean {
    return this.version.interruptible.has(call.name) && this.interruptPending(call);
  }

  /**
   * Whether the call finds an interrupt pending. Operands taken from a recording determine at which
   * check it does; otherwise it is a choice, whose default outcome is no.
   */
  interruptPending(call: Call): boolean {
    call.interruptLooks++;
    const { interruptAfter } = call.in;
    if (interruptAfter > 0) return call.interruptLooks >= interruptAfter;
    return interruptAfter === 0 && this.m.choose(2) === 1;
  }
}
