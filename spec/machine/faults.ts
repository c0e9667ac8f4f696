/**
 * H rules: correct use of the hardware and of the kernel's primitives, whatever the program. The
 * primitives enforce them, and report a violation at the step that makes it; this table holds their
 * texts.
 */
import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

type Sentences = Required<Pick<RuleText, 'statement' | 'source' | 'intent' | 'hint'>>;

const hardware = (id: string, sentences: Sentences): RuleText => ({
  id,
  level: 'required',
  ...sentences,
  versions: ['*'],
});

export const USE_AFTER_FREE = hardware('H01', {
  statement:
    'A word of a page is accessed only through a reference to the current allocation of the page.',
  source: 'Linux, Documentation/dev-tools/kasan.rst (use-after-free)',
  intent:
    'The page may serve another purpose by now: the access reads foreign data or corrupts it.',
  hint:
    'Find the step that freed the page: the access needs a reference, a lock or an RCU read ' +
    'section that delays the free.',
});
export const DOUBLE_FREE = hardware('H02', {
  statement: 'A page is freed once, through a reference to its current allocation.',
  source: 'Linux, Documentation/dev-tools/kasan.rst (double-free)',
  intent: 'The second free releases a page that another owner may have allocated in between.',
  hint: 'Find the two paths that free the page, and the state that decides which of them owns it.',
});
export const LEAK = hardware('H03', {
  statement: 'When everything has been torn down, every page has been freed.',
  source: 'Linux, Documentation/dev-tools/kmemleak.rst',
  intent: 'A page that is never freed is lost to the host until it reboots.',
  hint:
    'The report names the pages and their kinds: look at error paths and at the loser of a race ' +
    'that has allocated already.',
});
export const DEADLOCK = hardware('H04', {
  statement: 'At least one actor that has not ended can take its next step.',
  source: 'Linux, Documentation/locking/lockdep-design.rst',
  intent: 'Otherwise all actors wait for each other, and the tasks hang.',
  hint:
    'The report names the lock that each actor waits for and its holders: compare the order in ' +
    'which they take their locks.',
});
export const LIVELOCK = hardware('H05', {
  statement: 'Under a fair schedule every actor ends.',
  source: 'Linux, Documentation/admin-guide/lockup-watchdogs.rst',
  intent: 'A retry loop that never succeeds keeps a processor busy and the task stuck.',
  hint:
    'The report names what each running actor accesses last: find its retry loop, and what keeps ' +
    'the condition from changing.',
});
export const BAD_UNLOCK = hardware('H06', {
  statement: 'A lock is released, and a read section is left, only by the actor that holds it.',
  source:
    'Linux, Documentation/locking/lockdep-design.rst (bad unlock balance); ' +
    'Documentation/RCU/checklist.rst',
  intent: 'The rightful holder is left without its lock, and a third actor enters beside it.',
  hint: 'Look for an unlock on a path that skipped the lock, or for a read unlock of a write lock.',
});
export const ENDED_HOLDING = hardware('H07', {
  statement:
    'An actor that ends holds no lock, is inside no read section and leaves no vCPU in the guest.',
  source: 'Linux, Documentation/locking/lockdep-design.rst (held locks at exit)',
  intent: 'All others that need the lock or the vCPU wait without end.',
  hint: 'Look at the early returns of the operation: each has to release what was taken before.',
});
export const BAD_GUEST_ENTRY = hardware('H08', {
  statement:
    'A vCPU enters the guest only from outside it, and leaves it by the thread that entered.',
  source: 'Linux, Documentation/virt/kvm/vcpu-requests.rst (vCPU mode)',
  intent: 'Two threads that run one vCPU overwrite its state, and kicks reach the wrong one.',
  hint: 'Look for an entry without the matching exit, or for a vCPU that is run without its mutex.',
});

/** All H rules, in order of their ids. */
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

/** Reports that this step breaks `rule`. The step completes; the run ends after it. */
export const fault = (m: Machine, rule: RuleText, expected: string, seen: string): void =>
  m.violate(rule.id, expected, seen);

/** Name of an actor, for reports; `no actor` for code that no actor runs. */
export const actorName = (m: Machine, actor: number): string => m.actors[actor]?.name ?? 'no actor';
