/**
 * A virtual machine as KVM sees it, without anything of TDX: locks, roots and their tables,
 * memslots, the primary MMU, the invalidation protocol, vCPUs. Policies work with it; the K rules
 * watch it.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import type { Memory } from '../machine/memory.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import type { Rcu } from '../machine/rcu.ts';
import type { RwLock } from '../machine/rwlock.ts';
import type { SpinLock } from '../machine/spinlock.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import type { Tlb } from '../machine/tlb.ts';
import { requestAllAndWait, type Vcpu } from '../machine/vcpu.ts';
import type { Walker } from '../machine/walker.ts';
import type { Attributes } from './attributes.ts';
import type { GuestMemfd } from './guest-memfd.ts';
import type { Invalidation } from './invalidation.ts';
import type { Walk } from './iterator.ts';
import type { Memslots, Slot } from './memslots.ts';
import type { NxList } from './nx-list.ts';
import type { PrimaryMmu } from './primary-mmu.ts';
import type { RootRole, Roots } from './roots.ts';
import type { ShadowMmu } from './shadow-mmu.ts';
import { ACCESS_TRACKED, EXECUTABLE, isLeafSpte, WRITABLE, type Spte } from './spte.ts';
import type { Tables } from './tables.ts';

/** Requests to a vCPU. */
export const REQ_TLB_FLUSH = 1;
/**
 * KVM_REQ_MMU_FREE_OBSOLETE_ROOTS: drop a root that has become invalid before entering the guest
 * again.
 */
export const REQ_FREE_OBSOLETE_ROOTS = 2;

/** What a fault came to (RET_PF_*). */
export const RET_RETRY = 0;
export const RET_FIXED = 1;
/** The access is permitted already. */
export const RET_SPURIOUS = 2;
/** There is no memory: the access is emulated. */
export const RET_EMULATE = 3;
/** Not for the path that was tried: go on with the next one. */
export const RET_CONTINUE = 4;
/** The slot does not permit it, or is going away: user space has to see to it. */
export const RET_EXIT = 5;
/** Results of a fault: RET_RETRY to RET_EXIT. */
export type FaultAnswer = 0 | 1 | 2 | 3 | 4 | 5;
export const FAULT_ANSWERS = ['RETRY', 'FIXED', 'SPURIOUS', 'EMULATE', 'CONTINUE', 'EXIT'] as const;

/** A fault, with what has been found out about it so far. GFNs and user addresses are pages. */
export interface Fault {
  readonly gfn: number;
  readonly write: boolean;
  readonly exec: boolean;
  readonly asId: 0 | 1;
  readonly root: PageRef;
  /** Taken by KVM on its own account (KVM_PRE_FAULT_MEMORY). */
  readonly prefetch: boolean;
  /** The invalidation number before anything was looked up. */
  seq: number;
  slot: Slot;
  /** The GFN was private when the fault looked. */
  isPrivate: boolean;
  /** The page that was got, with a reference; or -1. */
  page: number;
  hostWritable: boolean;
  /** Level at which it is to be mapped. */
  goal: number;
}

/** The entry permits the access that faulted. */
export const permits = (spte: Spte, { write, exec }: Fault): boolean =>
  isLeafSpte(spte) &&
  (spte & ACCESS_TRACKED) === 0 &&
  (!write || (spte & WRITABLE) !== 0) &&
  (!exec || (spte & EXECUTABLE) !== 0);

/** In what a vCPU executes, and so by which root: the guest itself, its SMM, a nested guest. */
export type Context = 0 | 1 | 2;

/** What the root of each context is. For a nested guest the hardware keeps no A and D bits. */
export const CONTEXTS: readonly RootRole[] = [
  { asId: 0, adDisabled: false },
  { asId: 1, adDisabled: false },
  { asId: 0, adDisabled: true },
];

/** KVM's state of a vCPU. */
export interface KvmVcpu {
  readonly index: number;
  readonly vcpu: Vcpu;
  /** The hardware's page walker as each context has it; they share the TLB. */
  readonly walkers: readonly Walker[];
  readonly tlb: Tlb;
  /** A cell for each context: the root that is loaded in it, plus one. */
  readonly roots: Cell;
  /**
   * The range that a flush request is about: first GFN, and the one after the last; nothing while
   * they are equal.
   */
  readonly flush: Cell;
  /** A signal is pending: whoever loops on behalf of the vCPU has to leave. */
  readonly signal: Cell;
}

/** What rules may learn beyond what the parts tell. */
export interface KvmListener {
  /**
   * A task begins, or ends, something that promises a result; `what` names it. GFNs are of address
   * space `asId`.
   */
  promised?(what: Promised, asId: number, gfn: number, pages: number): void;
  kept?(what: Promised, asId: number, gfn: number, pages: number): void;
  faultBegan?(vcpu: number, fault: Fault): void;
  faultEnded?(vcpu: number, fault: Fault, result: FaultAnswer): void;
  /** A task begins to make every vCPU forget what it knows of these GFNs. */
  flushing?(gfn: number, pages: number): void;
  /** Every vCPU has forgotten what it knew of these GFNs. */
  flushed?(gfn: number, pages: number): void;
  /** A walk asks whether it should yield; it does so. */
  offered?(): void;
  yielding?(walk: Walk): void;
  /** A vCPU gets a root, or lets go of the one that it has (NO_PAGE). */
  loaded?(vcpu: number, root: PageRef): void;
  /** A vCPU goes into the guest with that root. */
  entered?(vcpu: number, root: PageRef): void;
  /**
   * The guest has reached `page` at `gfn`, found `value` and, unless `written` is null, written
   * that.
   */
  accessed?(
    vcpu: number,
    asId: number,
    gfn: number,
    page: number,
    value: number,
    written: number | null,
  ): void;
  /** Every actor has ended; nothing is in flight. */
  atRest?(): void;
  /** The host uses a page as memory of its own. */
  hostUsed?(page: number): void;
}

/**
 * Results that somebody relies on: that nothing maps the range any more (`unmap` by a notifier,
 * `unmap-atomic` by one that may not wait, `zap` inside KVM), that a slot is gone, that writes are
 * logged from now on, or no longer, that the log has been read; that the guest cannot write a page
 * that KVM shadows; that a root is zapped; that GFNs are private, or shared, and no longer what
 * they were.
 */
export type Promised =
  | 'unmap'
  | 'unmap-atomic'
  | 'zap'
  | 'delete'
  | 'log'
  | 'unlog'
  | 'collect'
  | 'track'
  | 'zap-all'
  | 'convert';

/** Parts of a {@link Kvm}, as its platform provides them. */
export type KvmParts = Omit<
  Kvm,
  'listeners' | 'flushAll' | 'flushRange' | 'promise' | 'keep' | 'rootOf' | 'setRoot' | 'freeTable'
>;

/** KVM's state of a VM. */
export class Kvm {
  readonly m: Machine;
  readonly memory: Memory;
  readonly pages: Pages;
  readonly mmuLock: RwLock;
  /** tdp_mmu_pages_lock. */
  readonly pagesLock: SpinLock;
  readonly slotsLock: SpinLock;
  readonly rcu: Rcu;
  readonly srcu: Rcu;
  readonly tables: Tables;
  readonly roots: Roots;
  readonly nx: NxList;
  readonly slots: Memslots;
  readonly primary: PrimaryMmu;
  readonly invalidation: Invalidation;
  /** mn_active_invalidate_count: notifiers between start and end. */
  readonly activeNotifiers: Cell;
  readonly vcpus: readonly KvmVcpu[];
  readonly shadow: ShadowMmu;
  readonly memfd: GuestMemfd;
  /**
   * Memory attributes: which GFNs of address space 0 are private, and the pages that back them
   * then.
   */
  readonly attributes: Attributes;
  /** Per GFN of address space 0: whether KVM shadows it, so that the guest must not write it unseen. */
  readonly tracked: Cell;
  /** One past the last GFN that the host can address: nothing is to be mapped from there on. */
  readonly maxGfn: number;
  readonly listeners: KvmListener[] = [];

  constructor(parts: KvmParts) {
    this.m = parts.m;
    this.memory = parts.memory;
    this.pages = parts.pages;
    this.mmuLock = parts.mmuLock;
    this.pagesLock = parts.pagesLock;
    this.slotsLock = parts.slotsLock;
    this.rcu = parts.rcu;
    this.srcu = parts.srcu;
    this.tables = parts.tables;
    this.roots = parts.roots;
    this.nx = parts.nx;
    this.slots = parts.slots;
    this.primary = parts.primary;
    this.invalidation = parts.invalidation;
    this.activeNotifiers = parts.activeNotifiers;
    this.vcpus = parts.vcpus;
    this.shadow = parts.shadow;
    this.memfd = parts.memfd;
    this.attributes = parts.attributes;
    this.tracked = parts.tracked;
    this.maxGfn = parts.maxGfn;
  }

  /** Tells rules that a task begins something whose result is relied on. */
  promise(what: Promised, asId: number, gfn: number, pages: number): void {
    for (const listener of this.listeners) listener.promised?.(what, asId, gfn, pages);
  }

  /** Tells rules that it is done. */
  keep(what: Promised, asId: number, gfn: number, pages: number): void {
    for (const listener of this.listeners) listener.kept?.(what, asId, gfn, pages);
  }

  /** The root that a vCPU has loaded for a context, in one step; or NO_PAGE. */
  *rootOf({ roots }: KvmVcpu, context: number): Steps<PageRef> {
    yield access(roots + context, READ);
    return this.m.peek(roots + context) - 1;
  }

  *setRoot({ roots, index }: KvmVcpu, context: number, root: PageRef): Steps<void> {
    yield access(roots + context, WRITE);
    this.m.poke(roots + context, root + 1);
    for (const listener of this.listeners) listener.loaded?.(index, root);
  }

  /** Makes every vCPU forget all translations, and waits until none can use one any more. */
  *flushAll(): Steps<void> {
    yield* this.flushRange(0, this.tables.span(this.tables.rootLevel + 1));
  }

  /** The same for `pages` pages from `gfn` on. */
  *flushRange(gfn: number, pages: number): Steps<void> {
    for (const listener of this.listeners) listener.flushing?.(gfn, pages);
    for (const { flush } of this.vcpus) {
      yield access(flush, WRITE);
      const empty = this.m.peek(flush) === this.m.peek(flush + 1);
      this.m.poke(flush, empty ? gfn : Math.min(gfn, this.m.peek(flush)));
      this.m.poke(flush + 1, empty ? gfn + pages : Math.max(gfn + pages, this.m.peek(flush + 1)));
    }
    yield* requestAllAndWait(
      this.vcpus.map(({ vcpu }) => vcpu),
      REQ_TLB_FLUSH,
    );
    for (const listener of this.listeners) listener.flushed?.(gfn, pages);
  }

  /** Frees a table that was never linked. */
  *freeTable(table: PageRef): Steps<void> {
    if (table !== NO_PAGE) yield* this.pages.free(table);
  }
}
