/**
 * MMU policies: entry points that the rest of KVM, and the guest, call. A policy is an object; one
 * that differs from another in one member spreads the other and replaces that member.
 *
 *     const mine: Policy = { ...frozenMirror, name: 'my-policy', *unmap(vm, gfn, pages) { … } };
 */
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { TdpMmu } from '../tdp-mmu/tdp-mmu.ts';
import type { Vm, VmKind, VmVcpu } from './vm.ts';

/** A rule that a faulty policy is expected to break, and why. */
export interface Breach {
  /** The rule's id. */
  readonly rule: string;
  /** One line. */
  readonly why: string;
  /**
   * Random scenarios rarely break it: the survey leaves it out, and the verdict rests on the
   * corpus.
   */
  readonly rare?: true;
  /**
   * Only under these module versions, families, modules from outside, or with these features; all
   * when absent.
   */
  readonly versions?: readonly string[];
}

/** A required rule whose precondition a policy never meets, and why. */
export interface NotApplicable {
  readonly rule: string;
  readonly why: string;
}

/** For `never` of a policy that maps small pages only. */
export const NO_LARGE_PAGES: readonly NotApplicable[] = ['K49', 'K65', 'K67'].map((rule) => ({
  rule,
  why: 'nothing is mapped large',
}));

/** For `never` of a policy whose module has all of its PAMT from the start. */
export const NO_DYNAMIC_PAMT: readonly NotApplicable[] = [
  { rule: 'K68', why: 'the module has its PAMT pages from the start' },
];

/** For `never` of a policy that keeps its tables until the VM is destroyed. */
export const TABLES_STAY: readonly NotApplicable[] = ['T03', 'K48'].map((rule) => ({
  rule,
  why: 'tables are not removed while the TD runs; VM teardown reclaims them',
}));

/**
 * Groups of shipped policies, in the order in which they are listed: the yardstick for the others;
 * code that Linux ships; proposals that satisfy every rule; the question of January 2023 and the
 * proposals before its answer; code that was rejected, or fixed since; policies for modules that do
 * not exist (spec/tdx/versions/what-if/).
 */
export const POLICY_GROUPS = [
  'baseline',
  'linux',
  'proposal',
  'question',
  'superseded',
  'what-if',
] as const;
/** One of {@link POLICY_GROUPS}. */
export type PolicyGroup = (typeof POLICY_GROUPS)[number];

/** An MMU under test: its entry points, and what it claims about itself. */
export interface Policy {
  /** In kebab-case; a shipped policy's file has the same name. */
  readonly name: string;
  /** Place in {@link POLICY_GROUPS}; shipped policies only. */
  readonly group?: PolicyGroup;
  /** What the policy does, in one line. */
  readonly title: string;
  /** Where it was proposed or merged. */
  readonly proposed: string;
  /** Kinds of VM that the policy runs. */
  readonly vms: readonly VmKind[];
  /** Rules that the policy is expected to break; empty if it is expected to pass. */
  readonly breaks: readonly Breach[];
  /**
   * Required rules whose precondition the policy never meets, and why: these are "not applicable",
   * not "not exercised".
   */
  readonly never?: readonly NotApplicable[];

  /**
   * The policy provides PAMT pages one by one (`vm.pamt`, K68). On a module with the feature it is
   * turned on, and `vm.pamt` makes PAMT.ADD and REMOVE; else it is off, and the pages are counted.
   */
  readonly dynamicPamt?: boolean;

  /**
   * Handles a fault of vCPU `vcpu` on private GFN `gfn`. Returns true if the guest may retry, false
   * if there is no memslot. `acceptLevel` is the level that the guest passed to ACCEPT, -1 if the
   * fault is of another access.
   */
  fault(vm: Vm, vcpu: number, gfn: number, acceptLevel: number): Steps<boolean>;
  /**
   * Zaps `pages` pages from `gfn` on, for a punched hole or a conversion, and returns them to the
   * host.
   */
  unmap(vm: Vm, gfn: number, pages: number): Steps<void>;
  /**
   * Zaps all below the entry of `gfn` at `level` (1: 2M), and removes the table there, with those
   * below it, if the policy frees tables.
   */
  removeTable(vm: Vm, gfn: number, level: number): Steps<void>;
  /** Merges the table that maps `gfn` into one large page, if possible. */
  promote(vm: Vm, gfn: number): Steps<void>;
  /** Splits the large page that maps `gfn` into a table of small ones. */
  demote(vm: Vm, gfn: number): Steps<void>;
  /**
   * Lets guest_memfd split the folio behind `gfn` with `vm.guestMemory.folios.split`: no mapping
   * may stay larger than the folio. When absent, guest_memfd splits it without asking.
   */
  splitFolio?(vm: Vm, gfn: number): Steps<void>;
  /** Maps memory when the VM is created, before any actor runs; for policies without faults. */
  populate?(vm: Vm): Steps<void>;
  /** Deletes the memslot (`vm.slot`). */
  removeSlot(vm: Vm): Steps<void>;
  /** Destroys the VM. No vCPU runs any more. */
  destroy(vm: Vm): Steps<void>;

  /** The MMU of direct roots: tables of an ordinary VM, and of the shared memory of a TD. */
  readonly direct: TdpMmu;

  /**
   * Attempts once to enter the TD; true when the vCPU is inside. `enterOnce` of blocks/entry.ts
   * when absent.
   */
  enter?(vm: Vm, vcpu: VmVcpu): Steps<boolean>;
  /** Frees a vCPU that was loaded and never ran; `freeVcpu` of blocks/vcpu-list.ts when absent. */
  freeVcpu?(vm: Vm, struct: PageRef): Steps<void>;

  // Ioctls of a TD that is being built: for policies that run VMs of kind `new-td`.

  /** KVM_TDX_INIT_VCPU. */
  initVcpu?(vm: Vm, vcpu: VmVcpu): Steps<void>;
  /** KVM_TDX_INIT_MEM_REGION: adds the page at `gfn` with its contents, and measures it. */
  addMemory?(vm: Vm, gfn: number): Steps<void>;
  /** KVM_TDX_FINALIZE_VM: the TD can run afterwards. */
  finalize?(vm: Vm): Steps<void>;
  /** KVM_PRE_FAULT_MEMORY on vCPU `vcpu`, whose mutex the caller holds. */
  preFault?(vm: Vm, vcpu: number, gfn: number): Steps<void>;
}
