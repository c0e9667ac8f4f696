/**
 * What no program may do to the hardware and to the kernel's primitives, whatever it is about.
 * These rules are enforced where the primitives are (a violation is reported by the very step that
 * makes it); the table is their text.
 */
import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

const hardware = (id: string, statement: string, source: string): RuleText => ({
  id,
  level: 'required',
  statement,
  source,
  versions: ['*'],
});

export const USE_AFTER_FREE = hardware(
  'H01',
  'A word of a page is touched only while the page is allocated to whoever the reference was given to.',
  'Linux, Documentation/dev-tools/kasan.rst (use-after-free)',
);
export const DOUBLE_FREE = hardware(
  'H02',
  'A page is freed once, by a reference that is still good.',
  'Linux, Documentation/dev-tools/kasan.rst (double-free)',
);
export const LEAK = hardware(
  'H03',
  'When everything is torn down, every page has been freed.',
  'Linux, Documentation/dev-tools/kmemleak.rst',
);
export const DEADLOCK = hardware(
  'H04',
  'Some actor that has not ended can take its next step.',
  'Linux, Documentation/locking/lockdep-design.rst',
);
export const LIVELOCK = hardware(
  'H05',
  'Under a fair schedule every actor ends.',
  'Linux, Documentation/admin-guide/lockup-watchdogs.rst',
);
export const BAD_UNLOCK = hardware(
  'H06',
  'A lock or read section is released by the actor that holds it.',
  'Linux, Documentation/locking/lockdep-design.rst (bad unlock balance); Documentation/RCU/checklist.rst',
);
export const ENDED_HOLDING = hardware(
  'H07',
  'An actor that ends holds no lock, is inside no read section and leaves no vCPU in the guest.',
  'Linux, Documentation/locking/lockdep-design.rst (held locks at exit)',
);
export const BAD_GUEST_ENTRY = hardware(
  'H08',
  'A vCPU enters the guest from outside it, and leaves it by the thread that entered.',
  'Linux, Documentation/virt/kvm/vcpu-requests.rst (vCPU mode)',
);

/** All of them, in order of their ids. */
export const FAULTS: readonly RuleText[] = [
  USE_AFTER_FREE,
  DOUBLE_FREE,
  LEAK,
  DEADLOCK,
  LIVELOCK,
  BAD_UNLOCK,
  ENDED_HOLDING,
  BAD_GUEST_ENTRY,
];

/** Reports that this step breaks `rule`. The step goes on; the run ends after it. */
export const fault = (m: Machine, rule: RuleText, expected: string, seen: string): void =>
  m.violate(rule.id, expected, seen);

/** The name of an actor, for reports. */
export const actorName = (m: Machine, actor: number): string => m.actors[actor]?.name ?? 'nobody';
