/**
 * The list of roots of direct page tables, from which vCPUs take roots and along which walkers
 * iterate. Roots have reference counts: each vCPU that has loaded the root holds a reference, the
 * MMU itself holds one while the root is valid, and a walker that drops mmu_lock needs its own.
 * Source: Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_alloc_root(), kvm_tdp_mmu_put_root().
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef } from '../machine/pages.ts';
import { READ, RMW, WRITE, type Steps, access } from '../machine/step.ts';
import { DIRECT_TABLE, NEXT, REFCOUNT, ROLE, type Tables } from './tables.ts';

/** Properties in which roots differ. `adDisabled`: the hardware sets no A and D bits. */
export interface RootRole {
  readonly asId: 0 | 1;
  readonly adDisabled: boolean;
}

const AS_ID = 1;
const AD_DISABLED = 2;
const INVALID = 4;
/** tdp_mmu_scheduled_root_to_zap: the actor that zaps the root then puts the MMU's reference. */
const SCHEDULED = 8;

/** A root without a page of its own (PAE, real mode): it has no role that could be read. */
export const SPECIAL_ROOT: PageRef = -2;

/** Events of roots. */
export interface RootListener {
  linked?(root: PageRef, references: number): void;
  unlinked?(root: PageRef): void;
  got?(root: PageRef): void;
  dropped?(root: PageRef, left: number): void;
  invalidated?(root: PageRef): void;
  /** An actor checked whether a root that has no page is obsolete. */
  specialRootChecked?(root: PageRef): void;
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

  /** Allocates an unlisted root without references, in one step; NO_PAGE when that fails. */
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

  /** Whether a root is obsolete, in one step. Only for roots that have a page (K33). */
  *isObsolete(root: PageRef): Steps<boolean> {
    if (root < 0) {
      for (const listener of this.listeners) listener.specialRootChecked?.(root);
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

  /** Reads the first root of the list, in one step; NO_PAGE if it is empty. */
  *first(): Steps<PageRef> {
    return (yield* this.m.read(this.head)) - 1;
  }

  /** Reads the root after `root`, in one step; `root` has to be allocated still. */
  *after(root: PageRef): Steps<PageRef> {
    const next = yield* this.m.read(this.tables.word(root, NEXT));
    this.tables.pages.touch(root);
    return next - 1;
  }

  /** Roots in the list, within the current step. */
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

  /** Lists a new root with `references` references, in one step. Under tdp_mmu_pages_lock. */
  *link(root: PageRef, references: number): Steps<void> {
    yield access(this.head, WRITE);
    this.m.poke(this.tables.word(root, REFCOUNT), references);
    this.m.poke(this.tables.word(root, NEXT), this.m.peek(this.head));
    this.m.poke(this.head, root + 1);
    for (const listener of this.listeners) listener.linked?.(root, references);
  }

  /**
   * Removes a root from the list, in one step; it keeps its pointer to the next root, for walkers
   * that are at it. Under tdp_mmu_pages_lock.
   */
  *unlink(root: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const before = this.all().find((other) => this.tables.peekWord(other, NEXT) - 1 === root);
    const next = this.tables.peekWord(root, NEXT);
    if (before !== undefined) this.m.poke(this.tables.word(before, NEXT), next);
    else if (this.m.peek(this.head) === root + 1) this.m.poke(this.head, next);
    for (const listener of this.listeners) listener.unlinked?.(root);
  }

  /** Takes a reference unless the count is 0, in one step. */
  *tryGet(root: PageRef): Steps<boolean> {
    yield access(this.tables.word(root, REFCOUNT), RMW);
    this.tables.pages.touch(root);
    const references = this.referencesTo(root);
    if (references === 0) return false;
    this.m.poke(this.tables.word(root, REFCOUNT), references + 1);
    for (const listener of this.listeners) listener.got?.(root);
    return true;
  }

  /** Drops a reference, in one step; returns the number that is left. */
  *drop(root: PageRef): Steps<number> {
    yield access(this.tables.word(root, REFCOUNT), RMW);
    this.tables.pages.touch(root);
    const left = this.referencesTo(root) - 1;
    this.m.poke(this.tables.word(root, REFCOUNT), left);
    for (const listener of this.listeners) listener.dropped?.(root, left);
    return left;
  }

  /** Makes a root invalid and schedules its zap, in one step. Under mmu_lock held for write. */
  *invalidate(root: PageRef): Steps<void> {
    yield access(this.tables.word(root, ROLE), WRITE);
    this.tables.pages.touch(root);
    this.m.poke(this.tables.word(root, ROLE), this.role(root) | INVALID | SCHEDULED);
    for (const listener of this.listeners) listener.invalidated?.(root);
  }

  /** Ends the scheduled zap, in one step; true if the MMU's reference has to be put. */
  *zapped(root: PageRef): Steps<boolean> {
    yield access(this.tables.word(root, ROLE), RMW);
    const was = this.isScheduled(root);
    this.m.poke(this.tables.word(root, ROLE), this.role(root) & ~SCHEDULED);
    return was;
  }
}
