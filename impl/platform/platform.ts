/**
 * The platform on which policies are checked: small enough to explore, large enough to go wrong
 * (sizes: vm/size.ts). The TD is built by the module's own life-cycle functions, run atomically,
 * and the result is sealed: a TD that can run, or (`new-td`) one that has its first vCPU and its
 * first page, and to which more can be added.
 */
import { DynamicPamt } from '../../spec/kvm/dynamic-pamt.ts';
import { GuestMemory } from '../../spec/kvm/guest-memory.ts';
import { Invalidation } from '../../spec/kvm/invalidation.ts';
import { LargePages } from '../../spec/kvm/large-pages.ts';
import { Mirror } from '../../spec/kvm/mirror.ts';
import { PAGE_KINDS } from '../../spec/kvm/tables.ts';
import { SLOT_VALID, TD_RUNNABLE, TdVm } from '../../spec/kvm/td-vm.ts';
import { VcpuExit } from '../../spec/kvm/vcpu-exit.ts';
import { Machine } from '../../spec/machine/machine.ts';
import { Memory, PAGE_BYTES } from '../../spec/machine/memory.ts';
import { Pages } from '../../spec/machine/pages.ts';
import { Rcu } from '../../spec/machine/rcu.ts';
import { RwLock } from '../../spec/machine/rwlock.ts';
import { SpinLock } from '../../spec/machine/spinlock.ts';
import { atomically, type Steps } from '../../spec/machine/step.ts';
import { Tlb } from '../../spec/machine/tlb.ts';
import { Vcpu } from '../../spec/machine/vcpu.ts';
import { Walker } from '../../spec/machine/walker.ts';
import { septFormat } from '../../spec/tdx/hardware.ts';
import { TdxModule, type Platform } from '../../spec/tdx/module.ts';
import { EPT, TDCX } from '../../spec/tdx/pamt.ts';
import { isInTree } from '../../spec/tdx/rules/tree.ts';
import { listGpa } from '../../spec/tdx/stepping.ts';
import { TD } from '../../spec/tdx/td.ts';
import {
  versionData,
  type ModuleVersion,
  type VersionData,
} from '../../spec/tdx/versions/index.ts';
import { addInPopulation } from '../blocks/build.ts';
import { faultUnder, throughFrozen } from '../blocks/fault.ts';
import { pamtCalls } from '../blocks/pamt.ts';
import { buildTd, TDVPR_PAGES } from '../vm/build-td.ts';
import type { Policy } from '../vm/policy.ts';
import { DEFAULT_TREE, sizesOf, type Sizes, type Tree } from '../vm/size.ts';
import { Vm, type VmKind, type VmVcpu } from '../vm/vm.ts';
import { guestOperation, leaveTd } from './guest.ts';
import { backingPages, createKvm } from './kvm-platform.ts';

/** Options of {@link createVm}. */
interface VmOptions {
  readonly kind: VmKind;
  readonly policy: Policy;
  readonly module: ModuleVersion;
  readonly vcpus: number;
  /** {@link DEFAULT_TREE} when absent. */
  readonly tree?: Tree;
}

/** Page numbers: TDR and TDCX from 0, then the vCPUs, the kernel's pages, the guest's memory. */
const TDR = 0;
const FIRST_TDVPR = 8;
/** Besides a page for each mirror table below the root, and its external page. */
const KERNEL_PAGES = 16;
/** An ordinary VM can have a dozen roots, valid and invalid, each with a few tables. */
const KERNEL_PAGES_OF_A_VM = 60;
const ROOTS_OF_A_VM = 12;

/** A platform with one package and one TDMR from address 0, one HKID beside the module's own. */
export const smallPlatform = (version: ModuleVersion, fanout: number): Platform => ({
  version: versionData(version),
  fanout,
  tdmrBase: 0,
  hkidShift: 46,
  privateHkids: [32, 33],
  packages: 1,
  cacheSubBlocks: 1,
  steppingThreshold: 6,
});

/** The module as a policy runs it: dynamic PAMT is off until a policy turns it on. */
export function moduleUnder({ dynamicPamt = false }: Policy, module: ModuleVersion): VersionData {
  const version = versionData(module);
  return version.dynamicPamt && !dynamicPamt ? { ...version, dynamicPamt: false } : version;
}

/** Creates a VM of a kind, ready for its scenarios, and seals the machine in that state. */
export function createVm({ kind, policy, module, vcpus: count, tree }: VmOptions): Vm {
  const isTd = kind !== 'vm';
  const sizes = sizesOf(tree ?? DEFAULT_TREE);
  const { guestPages, largePage, levels, rootLevel } = sizes;
  const version = moduleUnder(policy, module);
  const needsPairs = isTd && version.dynamicPamt;
  const { kernel, kernelPages, guest, shared } = pagesFor(sizes, isTd, count, needsPairs);
  const m = new Machine();
  const memory = new Memory(m, shared + backingPages(sizes), 128);
  const tdx = new TdxModule(memory, smallPlatform(version, sizes.fanout));
  const pages = new Pages(memory, kernel, kernelPages, { kinds: PAGE_KINDS, reuseLast: true });
  pages.mayFail = true;
  const tdr = TDR;
  const tdvprs = Array.from({ length: count }, (_, i) => FIRST_TDVPR + i * TDVPR_PAGES);
  const vcpus = createVcpus(tdx, tdvprs, rootLevel);
  const mmuLock = new RwLock(m, 'mmu_lock');
  const rcu = new Rcu(m);
  const invalidation = new Invalidation(m);
  const vm = new Vm({
    kind,
    sizes,
    m,
    memory,
    tdx,
    policy,
    tdr,
    pages,
    vcpus,
    mmuLock,
    rcu,
    invalidation,
    kvm: createKvm({
      m,
      memory,
      pages,
      mmuLock,
      rcu,
      invalidation,
      firstPage: shared,
      geometry: tdx.geometry,
      sizes,
      vcpus: vcpus.map((v) => v.kvm),
      hasSlots: !isTd,
    }),
    mirror: new Mirror(m, pages, tdx.geometry, rootLevel, isTd),
    guestMemory: new GuestMemory(m, guestPages, guest, largePage),
    noEntry: m.segment('wait_for_sept_zap', 1, () => 'wait_for_sept_zap'),
    slot: m.segment('memslot', 1, () => 'memslot'),
    largePages: new LargePages(m, guestPages, largePage),
    pamt: new DynamicPamt(m, {
      pages: memory.pages,
      span: largePage,
      vcpus: count,
      levels,
      module: needsPairs ? { calls: pamtCalls(() => vm), allocator: pages } : null,
    }),
    seamcallLock: new SpinLock(m, 'seamcall_lock'),
    interrupts: m.segment('host_interrupts', 1, () => 'host_interrupts'),
    td: new TdVm(m, { vcpus: count, gfns: guestPages, slotPages: sizes.usedPages }),
  });
  m.poke(vm.slot, SLOT_VALID);
  if (isTd) build(vm);
  if (policy.populate !== undefined && isTd) atomically(policy.populate(vm));
  if (isTd) makeReady(vm);
  m.seal();
  return vm;
}

/** Creates the vCPUs of a VM, each with a TLB that the module flushes. */
function createVcpus(
  tdx: TdxModule,
  tdvprs: readonly number[],
  rootLevel: number,
): readonly VmVcpu[] {
  const { m } = tdx;
  const format = septFormat(tdx, rootLevel, (table) => {
    const type = tdx.pamt.type(table, 0);
    // PAGE.DEMOTE links the new table before PAMT has it
    if (type === EPT || type === TDCX || isInTree(tdx, TDR, table)) return;
    m.violate(
      'S05',
      'the hardware walks Secure EPT pages only',
      `it walks page ${table}, which is not one`,
    );
  });
  const vcpus: readonly VmVcpu[] = tdvprs.map((tdvpr, index) => ({
    index,
    kvm: new Vcpu(m, `vcpu${index}`),
    tdvpr,
    exit: new VcpuExit(m, `vcpu${index}`),
    walker: new Walker(m, format, new Tlb(m, `TLB${index}`, format, 4)),
  }));
  tdx.listeners.push({
    tlbFlushed: (tdvpr) => vcpus.find((v) => v.tdvpr === tdvpr)?.walker.tlb.flushNow(),
  });
  return vcpus;
}

/** Builds the TD in the module; one that is being built has its first vCPU only. */
function build({ kind, m, memory, pamt, sizes, tdr, tdx, vcpus }: Vm): void {
  const finalize = kind === 'td';
  const tdvprs = (finalize ? vcpus : vcpus.slice(0, 1)).map(({ tdvpr }) => tdvpr);
  const cover = (page: number): Steps<void> => pamt.getControl(page);
  atomically(buildTd(tdx, tdr, tdvprs, { finalize, cover }));
  m.poke(memory.word(tdr, TD.ROOT_LEVEL), sizes.rootLevel);
}

/** Brings a TD into the state in which its scenarios begin. */
function makeReady(vm: Vm): void {
  const { kind, m, td, vcpus } = vm;
  const isBuilt = kind === 'td';
  for (const { index } of isBuilt ? vcpus : vcpus.slice(0, 1)) td.setReady(index);
  if (isBuilt) {
    m.poke(td.state, TD_RUNNABLE);
    m.poke(td.preFaultAllowed, 1);
    armZeroStep(vm);
  } else atomically(addInPopulation(vm, 0));
}

/**
 * Arms zero-step mitigation of the last vCPU, by a page that is mapped: its entries take the tree
 * lock exclusively, until it faults elsewhere. Scenarios do not use that page: a page that is added
 * again to a running TD is pending, and an armed vCPU cannot get past a pending page (finding F4).
 */
function armZeroStep(vm: Vm): void {
  const vcpu = vm.vcpus.at(-1);
  if (vcpu === undefined) return;
  const { armedGfn } = vm.sizes;
  atomically(faultUnder(vm, armedGfn, 'read', throughFrozen));
  atomically(guestOperation(vm, vcpu, 'accept', armedGfn, 0));
  atomically(leaveTd(vm, vcpu));
  listGpa(vm.tdx, vcpu.tdvpr, armedGfn * PAGE_BYTES);
}

/** First pages of the kernel's, the guest's and the shared memory, and the number of the first. */
function pagesFor(
  { fanout, guestPages, levels, tables }: Sizes,
  isTd: boolean,
  vcpus: number,
  needsPairs: boolean,
): { kernel: number; kernelPages: number; guest: number; shared: number } {
  const alignUp = (page: number): number => Math.ceil(page / fanout ** 2) * fanout ** 2;
  const kernel = alignUp(FIRST_TDVPR + vcpus * TDVPR_PAGES);
  const tablePages = isTd
    ? KERNEL_PAGES + 2 * tables
    : KERNEL_PAGES_OF_A_VM + levels * ROOTS_OF_A_VM;
  // a pair for each range that can have pages of the TD, and full caches
  const ranges = Math.ceil((kernel + tablePages + 2 * guestPages) / fanout);
  const pairs = needsPairs ? ranges + (vcpus + 1) * levels : 0;
  const kernelPages = tablePages + 2 * pairs;
  const guest = alignUp(kernel + kernelPages);
  return { kernel, kernelPages, guest, shared: guest + 2 * guestPages };
}
