/**
 * What an MMU policy is: the entry points through which the rest of KVM, and the guest, make the
 * MMU work. A policy is an object; one that differs from another in one point is that other one,
 * spread, with the point replaced.
 *
 *     export default { ...frozenMirror, name: 'my-policy', *unmap(vm, gfn, pages) { … } } satisfies Policy;
 */
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { ModuleVersion } from '../../spec/tdx/versions.ts';
import type { TdpMmu } from '../tdp-mmu/tdp-mmu.ts';
import type { Vm, VmKind, VmVcpu } from './vm.ts';

/** A rule that a faulty policy is expected to break, and why. */
export interface Breach {
  readonly rule: string;
  readonly why: string;
  /**
   * Few random scenarios meet it, or long ones: the survey leaves it out, and the verdict rests on
   * the corpus.
   */
  readonly rare?: true;
  /** Only under these module versions; all when absent. */
  readonly versions?: readonly ModuleVersion[];
}

/** A required rule whose premise a policy never meets, and why. */
export interface NotApplicable {
  readonly rule: string;
  readonly why: string;
}

/** What a policy that maps small pages only does not meet. */
export const NO_LARGE_PAGES: readonly NotApplicable[] = ['K49', 'K65', 'K67'].map((rule) => ({
  rule,
  why: 'nothing is mapped large',
}));

/** What a policy does not meet whose module has all of its PAMT from the start. */
export const NO_DYNAMIC_PAMT: readonly NotApplicable[] = [
  { rule: 'K68', why: 'the module has its PAMT pages from the start' },
];

/** What a policy does not meet that keeps its tables until the VM is destroyed. */
export const TABLES_STAY: readonly NotApplicable[] = ['T03', 'K48'].map((rule) => ({
  rule,
  why: "tables are not removed while the TD runs; the VM's end reclaims them",
}));

/**
 * What the shipped policies are in the history of the question, in the order in which they are
 * listed: the yardstick for the others; what Linux ships; proposals that satisfy every rule; the
 * question and what preceded its answer; what was rejected, or mended since.
 */
export const POLICY_GROUPS = ['baseline', 'linux', 'proposal', 'question', 'superseded'] as const;
export type PolicyGroup = (typeof POLICY_GROUPS)[number];

export interface Policy {
  readonly name: string;
  /** Shipped policies only: where it is listed. */
  readonly group?: PolicyGroup;
  /** One line: what it is. */
  readonly title: string;
  /** Where it was proposed or merged. */
  readonly proposed: string;
  /** The kinds of VM that it runs. */
  readonly vms: readonly VmKind[];
  /** Empty for a policy that is expected to pass. */
  readonly breaks: readonly Breach[];
  /**
   * Required rules whose premise the policy never meets, and why: they are "not applicable", not
   * "not exercised".
   */
  readonly never?: readonly NotApplicable[];

  /**
   * The module wants PAMT pages one by one, and the policy provides them (`vm.pamt`): K68 watches
   * how.
   */
  readonly dynamicPamt?: boolean;

  /**
   * The guest of vCPU `vcpu` faulted on private GFN `gfn`. True: it may try again. False: there is
   * no memslot. `acceptLevel` is the level at which the guest wanted to ACCEPT, -1 when it did
   * something else.
   */
  fault(vm: Vm, vcpu: number, gfn: number, acceptLevel: number): Steps<boolean>;
  /** The host takes `pages` pages from `gfn` on back (hole punched, converted to shared). */
  unmap(vm: Vm, gfn: number, pages: number): Steps<void>;
  /** Everything under the table that maps `gfn` goes, and the table if the policy ever frees one. */
  removeTable(vm: Vm, gfn: number): Steps<void>;
  /** The table that maps `gfn` becomes one large page, if it can. */
  promote(vm: Vm, gfn: number): Steps<void>;
  /** The large page that maps `gfn` becomes a table of small ones. */
  demote(vm: Vm, gfn: number): Steps<void>;
  /**
   * guest_memfd splits the folio behind `gfn`, by `vm.guestMemory.folios.split`: nothing larger
   * than what backs it may stay mapped. Without this entry point it does so without asking.
   */
  splitFolio?(vm: Vm, gfn: number): Steps<void>;
  /**
   * The VM has been created, and nobody runs yet: a policy that does not wait for faults maps its
   * memory.
   */
  populate?(vm: Vm): Steps<void>;
  /** The memslot, which holds all of the guest's memory, is deleted. */
  removeSlot(vm: Vm): Steps<void>;
  /** The VM is destroyed. No vCPU runs any more. */
  destroy(vm: Vm): Steps<void>;

  /** What it does about the tables of an ordinary VM, and about the shared memory of a TD. */
  readonly direct: TdpMmu;

  /**
   * One attempt of a vCPU to enter the TD, true when it is inside; as upstream does it when absent
   * (blocks/entry.ts).
   */
  enter?(vm: Vm, vcpu: VmVcpu): Steps<boolean>;
  /**
   * A vCPU that was created and loaded is freed without ever having run; blocks/vcpu-list.ts when
   * absent.
   */
  freeVcpu?(vm: Vm, struct: PageRef): Steps<void>;

  // The ioctls of a TD that is being built: only policies that run VMs of kind `new-td` have them.

  /** KVM_TDX_INIT_VCPU. */
  initVcpu?(vm: Vm, vcpu: VmVcpu): Steps<void>;
  /** KVM_TDX_INIT_MEM_REGION: the page at `gfn` gets its first contents, and is measured. */
  addMemory?(vm: Vm, gfn: number): Steps<void>;
  /** KVM_TDX_FINALIZE_VM: the TD can run. */
  finalize?(vm: Vm): Steps<void>;
  /** KVM_PRE_FAULT_MEMORY on vCPU `vcpu`, whose mutex is held. */
  preFault?(vm: Vm, vcpu: number, gfn: number): Steps<void>;
}
