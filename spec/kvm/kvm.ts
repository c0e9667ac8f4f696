/**
 * A virtual machine as KVM sees it, without TDX: locks, roots and their tables, memslots, the
 * primary MMU, the invalidation protocol, vCPUs. Policies operate on it; K rules watch it.
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

/** Requests to a vCPU: flush its TLB. */
export const REQ_TLB_FLUSH = 1;
/** KVM_REQ_MMU_FREE_OBSOLETE_ROOTS: drop invalid roots before the next entry. */
export const REQ_FREE_OBSOLETE_ROOTS = 2;

/** Results of a fault (RET_PF_*). */
export const RET_RETRY = 0;
export const RET_FIXED = 1;
/** The access is permitted already. */
export const RET_SPURIOUS = 2;
/** No memory backs the GFN: the access is emulated. */
export const RET_EMULATE = 3;
/** This path does not handle the fault: try the next one. */
export const RET_CONTINUE = 4;
/** The memslot does not permit the access, or is being deleted: user space has to handle it. */
export const RET_EXIT = 5;
/** Results of a fault: RET_RETRY to RET_EXIT. */
export type FaultAnswer = 0 | 1 | 2 | 3 | 4 | 5;
export const FAULT_ANSWERS = ['RETRY', 'FIXED', 'SPURIOUS', 'EMULATE', 'CONTINUE', 'EXIT'] as const;

/** A fault, with the results of its lookups so far. GFNs and user addresses are pages. */
export interface Fault {
  readonly gfn: number;
  readonly write: boolean;
  readonly exec: boolean;
  readonly asId: 0 | 1;
  readonly root: PageRef;
  /** KVM itself causes the fault (KVM_PRE_FAULT_MEMORY). */
  readonly prefetch: boolean;
  /** The invalidation sequence number, sampled before any lookup. */
  seq: number;
  slot: Slot;
  /** The GFN was private at the lookup. */
  isPrivate: boolean;
  /** The page that was looked up, with a reference; or -1. */
  page: number;
  hostWritable: boolean;
  /** Level at which the page is to be mapped. */
  goal: number;
}

/** The entry permits the access that faulted. */
export const permits = (spte: Spte, { write, exec }: Fault): boolean =>
  isLeafSpte(spte) &&
  (spte & ACCESS_TRACKED) === 0 &&
  (!write || (spte & WRITABLE) !== 0) &&
  (!exec || (spte & EXECUTABLE) !== 0);

/** Index into {@link CONTEXTS}: the guest itself, its SMM, or a nested guest. */
export type Context = 0 | 1 | 2;

/** Role of each context's root. The hardware sets no A and D bits for the nested guest. */
export const CONTEXTS: readonly RootRole[] = [
  { asId: 0, adDisabled: false },
  { asId: 1, adDisabled: false },
  { asId: 0, adDisabled: true },
];

/** KVM's state of a vCPU. */
export interface KvmVcpu {
  readonly index: number;
  readonly vcpu: Vcpu;
  /** The hardware's page walker for each context; they share the TLB. */
  readonly walkers: readonly Walker[];
  readonly tlb: Tlb;
  /** A cell for each context: the loaded root plus one, or 0. */
  readonly roots: Cell;
  /** Range of the flush request: first GFN, and the GFN after the last; empty while equal. */
  readonly flush: Cell;
  /** Not 0 while a signal is pending: loops on behalf of the vCPU have to end. */
  readonly signal: Cell;
}

/** Events of the VM as a whole; the parts have listeners for their own. */
export interface KvmListener {
  /** Operation `what` begins on a range of GFNs of address space `asId`. */
  promised?(what: Promised, asId: number, gfn: number, pages: number): void;
  /** Operation `what` returns; its postcondition, see {@link Promised}, holds. */
  kept?(what: Promised, asId: number, gfn: number, pages: number): void;
  faultBegan?(vcpu: number, fault: Fault): void;
  faultEnded?(vcpu: number, fault: Fault, result: FaultAnswer): void;
  /** A flush of these GFNs begins on all vCPUs; it is complete. */
  flushing?(gfn: number, pages: number): void;
  flushed?(gfn: number, pages: number): void;
  /** A walk checks whether it should yield; it yields. */
  offered?(): void;
  yielding?(walk: Walk): void;
  /** A vCPU loads a root, or drops the one that it has (NO_PAGE). */
  loaded?(vcpu: number, root: PageRef): void;
  /** A vCPU enters the guest with a root. */
  entered?(vcpu: number, root: PageRef): void;
  /** The guest has accessed `page` at `gfn`: read `value`, and written `written` if not null. */
  accessed?(
    vcpu: number,
    asId: number,
    gfn: number,
    page: number,
    value: number,
    written: number | null,
  ): void;
  /** Every actor has ended, and nothing is in flight. */
  atRest?(): void;
  /** The host uses a page as memory of its own. */
  hostUsed?(page: number): void;
}

/**
 * Operations with a postcondition on which their callers rely:
 *
 * - `unmap` (a notifier), `unmap-atomic` (one that may not sleep), `zap` (inside KVM): nothing maps
 *   the range.
 * - `delete`: the memslot is gone.
 * - `log`, `unlog`: writes are logged from now on, or no longer.
 * - `collect`: the dirty log has been read.
 * - `track`: the guest cannot write the page, which KVM shadows.
 * - `zap-all`: the invalidated roots are zapped.
 * - `convert`: the GFNs have their new attribute, and nothing maps them with the old one.
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
  /** mn_active_invalidate_count: number of notifiers between their start and their end. */
  readonly activeNotifiers: Cell;
  readonly vcpus: readonly KvmVcpu[];
  readonly shadow: ShadowMmu;
  readonly memfd: GuestMemfd;
  /** Memory attributes: which GFNs of address space 0 are private, and the pages behind those. */
  readonly attributes: Attributes;
  /** Per GFN of address space 0: not 0 if KVM shadows the page and must see the guest's writes. */
  readonly tracked: Cell;
  /** GFN after the last one that the host can address: no SPTE is to be created from there on. */
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

  /** Reports that operation `what` begins. Its postcondition is described at {@link Promised}. */
  promise(what: Promised, asId: number, gfn: number, pages: number): void {
    for (const listener of this.listeners) listener.promised?.(what, asId, gfn, pages);
  }

  /** Reports that operation `what` returns, and that its postcondition holds. */
  keep(what: Promised, asId: number, gfn: number, pages: number): void {
    for (const listener of this.listeners) listener.kept?.(what, asId, gfn, pages);
  }

  /** Reads the root that a vCPU has loaded for a context, in one step; NO_PAGE for none. */
  *rootOf({ roots }: KvmVcpu, context: number): Steps<PageRef> {
    yield access(roots + context, READ);
    return this.m.peek(roots + context) - 1;
  }

  /** Loads a root for a context, in one step; NO_PAGE drops it. */
  *setRoot({ roots, index }: KvmVcpu, context: number, root: PageRef): Steps<void> {
    yield access(roots + context, WRITE);
    this.m.poke(roots + context, root + 1);
    for (const listener of this.listeners) listener.loaded?.(index, root);
  }

  /** Flushes the TLB of every vCPU, and waits until no vCPU can use an old translation. */
  *flushAll(): Steps<void> {
    yield* this.flushRange(0, this.tables.span(this.tables.rootLevel + 1));
  }

  /** {@link flushAll} for `pages` pages from `gfn` on. */
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
