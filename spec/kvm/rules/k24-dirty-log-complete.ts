import type { Reporter } from '../../machine/monitor.ts';
import { PerActor } from '../../machine/per-actor.ts';
import type { Kvm } from '../kvm.ts';
import { LOG_DIRTY, NO_MEMSLOT } from '../memslots.ts';
import { gfnNames, rangeBits } from './gfn-sets.ts';
import type { KvmRule } from './rule.ts';

/** GFNs of an address space below 64, so that both fit into one key. */
const GFNS = 64;

/** Key of a GFN of an address space. */
const keyOf = (asId: number, gfn: number): number => asId * GFNS + gfn;
const placeOf = (key: number): [asId: number, gfn: number] => [Math.floor(key / GFNS), key % GFNS];

/** A written GFN is in the log when every actor has ended, or was collected after the write. */
function reportMissing({ slots }: Kvm, report: Reporter, written: Map<number, number>): void {
  for (const [key, vcpu] of written) {
    const [asId, gfn] = placeOf(key);
    const slot = slots.find(asId, gfn);
    if (slot === NO_MEMSLOT || slots.isDirty(slot, gfn)) continue;
    report.violated(`GFN ${gfn}, which vcpu${vcpu} wrote, in the dirty log`, 'it is not');
  }
}

export default {
  id: 'K24',
  level: 'required',
  statement:
    'When dirty logging is enabled, and when the log is collected, the GFNs concerned are ' +
    'flushed whether or not an SPTE changed; no guest write is missing from the log.',
  source:
    'Linux, commit b64d740ea7dd; arch/x86/kvm/x86.c: kvm_mmu_slot_apply_flags(); ' +
    'virt/kvm/kvm_main.c: kvm_get_dirty_log_protect()',
  intent:
    'An SPTE can be read-only while a TLB still permits writes; without a flush live migration ' +
    'loses those pages.',
  hint:
    'Look at early returns that skip the flush because no SPTE changed: aging can have cleared W ' +
    'without a flush.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { listeners, m, slots } = kvm;
    /** GFNs flushed since the actor's operation began. */
    const flushed = new PerActor(m);
    /** By key, the vCPU that wrote the GFN since logging began or since it was collected. */
    const written = new Map<number, number>();
    m.clearOnReset(written);
    /** GFNs whose dirty bits the collector has taken in its current operation. */
    const taken = new PerActor(m);
    listeners.push({
      promised: (what) => {
        if (what === 'log' || what === 'collect') flushed.mine = taken.mine = 0;
      },
      flushed: (gfn, pages) => {
        flushed.mine |= rangeBits(gfn, pages);
      },
      kept: (what, asId, gfn, pages) => {
        if (what !== 'log' && what !== 'collect') return;
        report.exercised();
        const due = (what === 'log' ? rangeBits(gfn, pages) : taken.mine) & ~flushed.mine;
        if (due !== 0)
          report.violated(`${gfnNames(due)} flushed before user space goes on`, 'not flushed');
        for (let at = gfn; at < gfn + pages; at++) {
          if (what === 'log' || (taken.mine & (1 << at)) !== 0) written.delete(keyOf(asId, at));
        }
      },
      accessed: (vcpu, asId, gfn, _page, _value, value) => {
        const slot = slots.find(asId, gfn);
        if (value !== null && slot !== NO_MEMSLOT && slots.isLogged(slot))
          written.set(keyOf(asId, gfn), vcpu);
      },
      atRest: () => reportMissing(kvm, report, written),
    });
    slots.listeners.push({
      taken: (_slot, gfn) => {
        taken.mine |= 1 << gfn;
      },
      installed: (slot, _state, flags) => {
        if ((flags & LOG_DIRTY) !== 0) return;
        const { asId } = slots.place(slot);
        for (const key of written.keys()) if (placeOf(key)[0] === asId) written.delete(key);
      },
    });
  },
} satisfies KvmRule;
