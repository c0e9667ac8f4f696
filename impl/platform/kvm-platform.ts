/**
 * KVM's part of a VM on the small platform: three memslots and one that can be created, the user
 * addresses behind them, vCPUs.
 */
import { Attributes } from '../../spec/kvm/attributes.ts';
import { GuestMemfd } from '../../spec/kvm/guest-memfd.ts';
import { directFormat } from '../../spec/kvm/hardware.ts';
import type { Invalidation } from '../../spec/kvm/invalidation.ts';
import { CONTEXTS, Kvm, type KvmVcpu } from '../../spec/kvm/kvm.ts';
import { Memslots, NO_MEMSLOT, type SlotPlace } from '../../spec/kvm/memslots.ts';
import { NxList } from '../../spec/kvm/nx-list.ts';
import { PrimaryMmu } from '../../spec/kvm/primary-mmu.ts';
import { Roots, type RootRole } from '../../spec/kvm/roots.ts';
import { ShadowMmu } from '../../spec/kvm/shadow-mmu.ts';
import { Tables } from '../../spec/kvm/tables.ts';
import type { Geometry } from '../../spec/machine/geometry.ts';
import type { Machine } from '../../spec/machine/machine.ts';
import type { Memory } from '../../spec/machine/memory.ts';
import type { Pages } from '../../spec/machine/pages.ts';
import { Rcu } from '../../spec/machine/rcu.ts';
import type { RwLock } from '../../spec/machine/rwlock.ts';
import { SpinLock } from '../../spec/machine/spinlock.ts';
import { Tlb } from '../../spec/machine/tlb.ts';
import type { Vcpu } from '../../spec/machine/vcpu.ts';
import { Walker, type TableFormat } from '../../spec/machine/walker.ts';
import type { Sizes } from '../vm/size.ts';

/** Least user address (in pages) behind GFN 0; not 0, so that a GFN used as one is noticed. */
const HVA_BASE = 8;

/** Where the memory of an ordinary VM is. Its GFNs are below four times the fanout. */
interface Layout {
  readonly places: readonly SlotPlace[];
  /** Number of user addresses, in pages. */
  readonly addresses: number;
  /** First GFN beyond host.MAXPHYADDR; the one before has no memory. */
  readonly maxGfn: number;
}

/** The layout for huge pages of `span` pages. */
function layoutOf(span: number): Layout {
  const hva = Math.ceil(HVA_BASE / span) * span;
  return {
    places: [
      // no two slots have adjacent user addresses: see docs/findings.md, F8
      { asId: 0, gfn: 0, pages: span + 1, hva },
      // moves between its GFN and the next
      { asId: 0, gfn: 2 * span, pages: 1, hva: hva + 2 * span },
      // SMRAM: only in SMM's address space
      { asId: 1, gfn: 0, pages: span, hva: hva + 3 * span },
      // reaches beyond host.MAXPHYADDR: KVM must refuse it
      { asId: 0, gfn: 3 * span, pages: 2, hva: 0 },
    ],
    addresses: hva + 4 * span,
    maxGfn: 3 * span + 1,
  };
}

/** Number of pages that back user addresses and private GFNs of an ordinary VM, two for each. */
export const backingPages = ({ guestPages, largePage }: Sizes): number =>
  2 * layoutOf(largePage).addresses + 2 * guestPages;

/** User address (in pages) behind GFN 0. */
export const firstHva = ({ slots }: Kvm): number => slots.place(0).hva;

/** The slot with a guest_memfd. */
const BOUND_SLOT = 0;

/** The slots that exist when a run begins. */
const FIRST_SLOTS = [0, 1, 2];

/** Parts of the VM that {@link createKvm} builds on. */
interface KvmOptions {
  readonly m: Machine;
  readonly memory: Memory;
  readonly pages: Pages;
  readonly mmuLock: RwLock;
  readonly rcu: Rcu;
  readonly invalidation: Invalidation;
  readonly vcpus: readonly Vcpu[];
  /** First page that backs user addresses. */
  readonly firstPage: number;
  readonly geometry: Geometry;
  readonly sizes: Sizes;
  /** The VM has memslots; a TD's are not modelled here. */
  readonly hasSlots: boolean;
}

/** Creates KVM's part of a VM. */
export function createKvm(options: KvmOptions): Kvm {
  const { m, memory, pages, mmuLock, rcu, invalidation } = options;
  const { guestPages, largePage, rootLevel } = options.sizes;
  const { addresses, maxGfn, places } = layoutOf(largePage);
  const tables = new Tables(m, pages, options.geometry, rootLevel);
  const slots = new Memslots(m, pages, places);
  if (options.hasSlots) for (const slot of FIRST_SLOTS) slots.installNow(slot);
  const memfd = new GuestMemfd(m, slots);
  if (options.hasSlots) memfd.bindNow(BOUND_SLOT);
  return new Kvm({
    m,
    memory,
    pages,
    mmuLock,
    rcu,
    invalidation,
    tables,
    slots,
    pagesLock: new SpinLock(m, 'tdp_mmu_pages_lock'),
    slotsLock: new SpinLock(m, 'slots_lock'),
    srcu: new Rcu(m, 'SRCU'),
    roots: new Roots(tables),
    nx: new NxList(tables),
    primary: new PrimaryMmu(m, addresses, options.firstPage, largePage),
    activeNotifiers: m.segment('mn_active_invalidate_count', 1, () => 'mn_active_invalidate_count'),
    attributes: new Attributes(m, guestPages, options.firstPage + 2 * addresses, largePage),
    shadow: new ShadowMmu(m, pages, options.geometry, places.length, options.hasSlots),
    memfd,
    tracked: m.segment('tracked', guestPages),
    maxGfn,
    vcpus: options.vcpus.map((vcpu, index) => createVcpu(m, tables, slots, vcpu, index)),
  });
}

function createVcpu(
  m: Machine,
  tables: Tables,
  slots: Memslots,
  vcpu: Vcpu,
  index: number,
): KvmVcpu {
  const formatOf = ({ asId, adDisabled }: RootRole): TableFormat =>
    directFormat(tables, adDisabled, (gfn) => {
      const slot = slots.find(asId, gfn);
      if (slot !== NO_MEMSLOT) slots.markNow(slot, gfn);
    });
  const tlb = new Tlb(m, `EPT TLB${index}`, tables, 4);
  return {
    index,
    vcpu,
    tlb,
    walkers: CONTEXTS.map((role) => new Walker(m, formatOf(role), tlb)),
    roots: m.segment(`roots of ${vcpu.name}`, CONTEXTS.length),
    flush: m.segment(`flush of ${vcpu.name}`, 2),
    signal: m.segment(`signal of ${vcpu.name}`, 1, () => `signal of ${vcpu.name}`),
  };
}
