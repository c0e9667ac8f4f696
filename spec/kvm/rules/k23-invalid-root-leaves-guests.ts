import { PerActor } from '../../machine/per-actor.ts';
import { IN_GUEST } from '../../machine/vcpu.ts';
import { CONTEXTS, REQ_FREE_OBSOLETE_ROOTS } from '../kvm.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K23',
  level: 'required',
  statement:
    'Once the actor that invalidates a root releases mmu_lock, no vCPU is in the guest with that ' +
    'root or enters with it, unless a request to drop it is pending; zapping the root therefore ' +
    'needs no flush.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_zap_invalidated_roots(); mmu.c: ' +
    'kvm_mmu_zap_all_fast()',
  intent: 'A vCPU that stays on the root uses translations that the zap does not flush.',
  hint:
    'Look at KVM_REQ_MMU_FREE_OBSOLETE_ROOTS: it goes to every vCPU before mmu_lock is released, ' +
    'and vCPUs check it after they are IN_GUEST_MODE.',
  versions: ['*'],
  watch: ({ listeners, m, mmuLock, roots, vcpus }, report) => {
    const hasInvalidated = new PerActor(m);
    roots.listeners.push({
      invalidated: () => {
        hasInvalidated.mine = 1;
      },
    });
    mmuLock.listeners.push({
      releasing: () => {
        if (hasInvalidated.mine === 0) return;
        hasInvalidated.mine = 0;
        report.exercised();
        for (const { index, roots: loaded, vcpu } of vcpus) {
          if (vcpu.mode() !== IN_GUEST || (vcpu.requests() & REQ_FREE_OBSOLETE_ROOTS) !== 0)
            continue;
          for (const context of CONTEXTS.keys()) {
            const root = m.peek(loaded + context) - 1;
            if (root < 0 || !roots.isInvalid(root)) continue;
            report.violated(
              `vcpu${index} out of the guest, or requested to leave it`,
              `it runs on invalid root ${tableName(root)}`,
            );
          }
        }
      },
    });
    listeners.push({
      entered: (vcpu, root) => {
        report.exercised();
        // an actor that has just made the root invalid holds the lock, and kicks the vCPU next
        if (roots.isInvalid(root) && !mmuLock.isWriteHeld())
          report.violated(`vcpu${vcpu} enters with a valid root`, `${tableName(root)} is invalid`);
      },
    });
  },
} satisfies KvmRule;
