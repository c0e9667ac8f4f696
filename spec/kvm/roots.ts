/**
 * The roots of direct page tables: a list that vCPUs take roots from and walkers go along. A root
 * is counted: a vCPU that has loaded it holds a reference, so does the MMU itself while the root is
 * valid, and so must a walker that drops mmu_lock on the way. Source: Linux,
 * arch/x86/kvm/mmu/tdp_mmu.c (kvm_tdp_mmu_alloc_root, kvm_tdp_mmu_put_root).
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef } from '../machine/pages.ts';
import { READ, RMW, WRITE, type Steps, access } from '../machine/step.ts';
import { DIRECT_TABLE, NEXT, REFCOUNT, ROLE, type Tables } from './tables.ts';

/**
 * What roots differ in: the address space, and whether the hardware keeps A and D bits in their
 * tables.
 */
export interface RootRole {
  readonly asId: 0 | 1;
  readonly adDisabled: boolean;
}

const AS_ID = 1;
const AD_DISABLED = 2;
const INVALID = 4;
/** Somebody has taken it on himself to zap the root, and will put the MMU's reference afterwards. */
const SCHEDULED = 8;

/** A root that has no page of its own (PAE, real mode): there is nothing to ask it. */
export const SPECIAL_ROOT: PageRef = -2;

/** Events of roots. */
export interface RootListener {
  linked?(root: PageRef, references: number): void;
  unlinked?(root: PageRef): void;
  got?(root: PageRef): void;
  dropped?(root: PageRef, left: number): void;
  invalidated?(root: PageRef): void;
  /** Somebody asked a root that has no page whether it is obsolete. */
  askedInVain?(root: PageRef): void;
}

/** Roots of a VM: list, roles, reference counts, validity. */
export class Roots {
  readonly listeners: RootListener[] = [];
  private readonly m: Machine;
  private readonly tables: Tables;
  private readonly head: Cell;

  constructor(tables: Tables) {
    this.m = tables.m;
    this.tables = tables;
    this.head = this.m.record('tdp_mmu_roots');
  }

  /**
   * A root page with its role and no references, in one step; NO_PAGE when that fails. It is in no
   * list yet.
   */
  *alloc({ asId, adDisabled }: RootRole): Steps<PageRef> {
    const root = yield* this.tables.alloc(DIRECT_TABLE, this.tables.rootLevel, 0);
    if (root === NO_PAGE) return NO_PAGE;
    this.m.poke(
      this.tables.word(root, ROLE),
      (asId === 1 ? AS_ID : 0) | (adDisabled ? AD_DISABLED : 0),
    );
    return root;
  }

  private role(root: PageRef): number {
    return this.tables.peekWord(root, ROLE);
  }

  asIdOf(root: PageRef): 0 | 1 {
    return (this.role(root) & AS_ID) === 0 ? 0 : 1;
  }

  adDisabled(root: PageRef): boolean {
    return (this.role(root) & AD_DISABLED) !== 0;
  }

  isInvalid(root: PageRef): boolean {
    return (this.role(root) & INVALID) !== 0;
  }

  isScheduled(root: PageRef): boolean {
    return (this.role(root) & SCHEDULED) !== 0;
  }

  /** Whether a root is obsolete, in one step. To be asked of roots that have a page. */
  *isObsolete(root: PageRef): Steps<boolean> {
    if (root < 0) {
      for (const listener of this.listeners) listener.askedInVain?.(root);
      return true;
    }
    yield access(this.tables.word(root, ROLE), READ);
    this.tables.pages.touch(root);
    return this.isInvalid(root);
  }

  matches(root: PageRef, { asId, adDisabled }: RootRole): boolean {
    return this.asIdOf(root) === asId && this.adDisabled(root) === adDisabled;
  }

  referencesTo(root: PageRef): number {
    return this.tables.peekWord(root, REFCOUNT);
  }

  /** The first root of the list, or NO_PAGE. */
  *first(): Steps<PageRef> {
    return (yield* this.m.read(this.head)) - 1;
  }

  /** The root after `root`, by what `root` says: it has to be there still. */
  *after(root: PageRef): Steps<PageRef> {
    const next = yield* this.m.read(this.tables.word(root, NEXT));
    this.tables.pages.touch(root);
    return next - 1;
  }

  /** The roots in the list, within the current step. */
  all(): PageRef[] {
    const roots: PageRef[] = [];
    for (
      let root = this.m.peek(this.head) - 1;
      root >= 0;
      root = this.tables.peekWord(root, NEXT) - 1
    )
      roots.push(root);
    return roots;
  }

  /** Puts a new root with so many references into the list, in one step; under tdp_mmu_pages_lock. */
  *link(root: PageRef, references: number): Steps<void> {
    yield access(this.head, WRITE);
    this.m.poke(this.tables.word(root, REFCOUNT), references);
    this.m.poke(this.tables.word(root, NEXT), this.m.peek(this.head));
    this.m.poke(this.head, root + 1);
    for (const listener of this.listeners) listener.linked?.(root, references);
  }

  /**
   * Takes a root out of the list, in one step; under tdp_mmu_pages_lock. Who stands on it can still
   * go on from it.
   */
  *unlink(root: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const before = this.all().find((other) => this.tables.peekWord(other, NEXT) - 1 === root);
    const next = this.tables.peekWord(root, NEXT);
    if (before !== undefined) this.m.poke(this.tables.word(before, NEXT), next);
    else if (this.m.peek(this.head) === root + 1) this.m.poke(this.head, next);
    for (const listener of this.listeners) listener.unlinked?.(root);
  }

  /** Takes a reference unless there is none left, in one step. */
  *tryGet(root: PageRef): Steps<boolean> {
    yield access(this.tables.word(root, REFCOUNT), RMW);
    this.tables.pages.touch(root);
    const references = this.referencesTo(root);
    if (references === 0) return false;
    this.m.poke(this.tables.word(root, REFCOUNT), references + 1);
    for (const listener of this.listeners) listener.got?.(root);
    return true;
  }

  /** Drops a reference, in one step; how many are left. */
  *drop(root: PageRef): Steps<number> {
    yield access(this.tables.word(root, REFCOUNT), RMW);
    this.tables.pages.touch(root);
    const left = this.referencesTo(root) - 1;
    this.m.poke(this.tables.word(root, REFCOUNT), left);
    for (const listener of this.listeners) listener.dropped?.(root, left);
    return left;
  }

  /** Makes a root invalid and schedules it to be zapped, in one step; under mmu_lock held for write. */
  *invalidate(root: PageRef): Steps<void> {
    yield access(this.tables.word(root, ROLE), WRITE);
    this.tables.pages.touch(root);
    this.m.poke(this.tables.word(root, ROLE), this.role(root) | INVALID | SCHEDULED);
    for (const listener of this.listeners) listener.invalidated?.(root);
  }

  /** The root has been zapped; whether it was scheduled to be, so that there is a reference to put. */
  *zapped(root: PageRef): Steps<boolean> {
    yield access(this.tables.word(root, ROLE), RMW);
    const was = this.isScheduled(root);
    this.m.poke(this.tables.word(root, ROLE), this.role(root) & ~SCHEDULED);
    return was;
  }
}
