import { PerActor } from '../../machine/per-actor.ts';
import { NO_MEMSLOT, SLOT_INVALID } from '../memslots.ts';
import type { KvmRule } from './rule.ts';

/** What has happened in the actor's current read section: nothing (0), a fault, a retry is due. */
const BEGUN = 1;
const FOUND_INVALID = 2;

export default {
  id: 'K42',
  level: 'required',
  statement:
    'A fault that is retried inside the kernel leaves its SRCU read section when it finds the ' +
    'memslot being deleted: the deletion waits for readers of the memslots.',
  source:
    'Linux, commits 3ccbf6f47098, 2bc2694fe20b; arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation()',
  intent:
    'The deletion waits in synchronize_srcu() for the loop, and the loop waits for the deletion: ' +
    'a deadlock.',
  hint:
    'Look at the retry loop: on KVM_MEMSLOT_INVALID it has to return to its caller, and not ' +
    'fault again under the same kvm->srcu.',
  versions: ['*'],
  watch: ({ invalidation, m, slots, srcu }, report) => {
    const stage = new PerActor(m);
    srcu.onLeave.push(() => {
      stage.mine = 0;
    });
    invalidation.listeners.push({
      sampled: () => {
        if (stage.mine === FOUND_INVALID)
          report.violated(
            'the read section left, as the memslot is being deleted',
            'another attempt inside it',
          );
        stage.mine = BEGUN;
      },
    });
    slots.listeners.push({
      lookedUp: (_asId, _gfn, slot) => {
        if (slot === NO_MEMSLOT || slots.stateOf(slot) !== SLOT_INVALID || !srcu.holds(m.current))
          return;
        report.exercised();
        if (stage.mine === BEGUN) stage.mine = FOUND_INVALID;
      },
    });
  },
} satisfies KvmRule;
