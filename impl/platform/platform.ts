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
import { atomically } from '../../spec/machine/step.ts';
import { Tlb } from '../../spec/machine/tlb.ts';
import { Vcpu } from '../../spec/machine/vcpu.ts';
import { Walker } from '../../spec/machine/walker.ts';
import { septFormat } from '../../spec/tdx/hardware.ts';
import { TdxModule, type Platform } from '../../spec/tdx/module.ts';
import { EPT, TDCX } from '../../spec/tdx/pamt.ts';
import { isInTree } from '../../spec/tdx/rules/tree.ts';
import { listGpa } from '../../spec/tdx/stepping.ts';
import { TD } from '../../spec/tdx/td.ts';
import { versionData, type ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { addInPopulation } from '../blocks/build.ts';
import { faultUnder, throughFrozen } from '../blocks/fault.ts';
import { buildTd, TDVPR_PAGES } from '../vm/build-td.ts';
import type { Policy } from '../vm/policy.ts';
import { ARMED_GFN, GUEST_PAGES, FANOUT, LARGE_PAGE, ROOT_LEVEL, USED_PAGES } from '../vm/size.ts';
import { Vm, type VmKind, type VmVcpu } from '../vm/vm.ts';
import { guestOperation, leaveTd } from './guest.ts';
import { BACKING_PAGES, createKvm } from './kvm-platform.ts';

/** Options of {@link createVm}. */
interface VmOptions {
  readonly kind: VmKind;
  readonly policy: Policy;
  readonly module: ModuleVersion;
  readonly vcpus: number;
}

/** Page numbers: TDR and TDCX from 0, then the vCPUs, the kernel's pages, the guest's memory. */
const TDR = 0;
const FIRST_TDVPR = 8;
const KERNEL_PAGES = 28;
/** An ordinary VM can have a dozen roots, valid and invalid. */
const KERNEL_PAGES_OF_A_VM = 96;
const ALIGNMENT = 4;

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

/** Creates a VM of a kind, ready for its scenarios, and seals the machine in that state. */
export function createVm({ kind, policy, module, vcpus: count }: VmOptions): Vm {
  const kernel = alignUp(FIRST_TDVPR + count * TDVPR_PAGES);
  const isTd = kind !== 'vm';
  const kernelPages = isTd ? KERNEL_PAGES : KERNEL_PAGES_OF_A_VM;
  const guest = alignUp(kernel + kernelPages);
  const shared = guest + 2 * GUEST_PAGES;
  const m = new Machine();
  const memory = new Memory(m, shared + BACKING_PAGES, 128);
  const tdx = new TdxModule(memory, smallPlatform(module, FANOUT));
  const pages = new Pages(memory, kernel, kernelPages, { kinds: PAGE_KINDS, reuseLast: true });
  pages.mayFail = true;
  const tdr = TDR;
  const tdvprs = Array.from({ length: count }, (_, i) => FIRST_TDVPR + i * TDVPR_PAGES);
  const isBuilt = kind === 'td';
  if (isTd) {
    atomically(buildTd(tdx, tdr, isBuilt ? tdvprs : tdvprs.slice(0, 1), { finalize: isBuilt }));
    m.poke(memory.word(tdr, TD.ROOT_LEVEL), ROOT_LEVEL);
  }

  const vcpus = createVcpus(tdx, tdvprs);
  const mmuLock = new RwLock(m, 'mmu_lock');
  const rcu = new Rcu(m);
  const invalidation = new Invalidation(m);
  const vm = new Vm({
    kind,
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
      rootLevel: ROOT_LEVEL,
      vcpus: vcpus.map((v) => v.kvm),
      hasSlots: !isTd,
    }),
    mirror: new Mirror(m, pages, tdx.geometry, ROOT_LEVEL, isTd),
    guestMemory: new GuestMemory(m, GUEST_PAGES, guest, LARGE_PAGE),
    noEntry: m.segment('wait_for_sept_zap', 1, () => 'wait_for_sept_zap'),
    slot: m.segment('memslot', 1, () => 'memslot'),
    largePages: new LargePages(m, GUEST_PAGES, LARGE_PAGE),
    pamt: new DynamicPamt(m, memory.pages, LARGE_PAGE, count),
    seamcallLock: new SpinLock(m, 'seamcall_lock'),
    interrupts: m.segment('host_interrupts', 1, () => 'host_interrupts'),
    td: new TdVm(m, { vcpus: count, gfns: GUEST_PAGES, slotPages: USED_PAGES }),
  });
  m.poke(vm.slot, SLOT_VALID);
  if (policy.populate !== undefined && isTd) atomically(policy.populate(vm));
  if (isTd) makeReady(vm);
  m.seal();
  return vm;
}

/** Creates the vCPUs of a VM, each with a TLB that the module flushes. */
function createVcpus(tdx: TdxModule, tdvprs: readonly number[]): readonly VmVcpu[] {
  const { m } = tdx;
  const format = septFormat(tdx, ROOT_LEVEL, (table) => {
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
  atomically(faultUnder(vm, ARMED_GFN, 'read', throughFrozen));
  atomically(guestOperation(vm, vcpu, 'accept', ARMED_GFN, 0));
  atomically(leaveTd(vm, vcpu));
  listGpa(vm.tdx, vcpu.tdvpr, ARMED_GFN * PAGE_BYTES);
}

const alignUp = (page: number): number => Math.ceil(page / ALIGNMENT) * ALIGNMENT;
