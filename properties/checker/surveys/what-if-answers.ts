/** What the runs of docs/what-if.md answer, in words. */
export const ANSWERS = `## Does a branch that an RCU callback removes hold on a fine-grained module?

No, not by the locks alone. \`fine-grained\` is the guess of message 15 of the thread
([sources.md](sources.md#the-thread)) on 1.5.05: a call locks shared the tables that its walk reads,
and exclusively the entry that it changes, with the table below where it changes that, too.

| the module                                       | what becomes of \`rcu-branch-free\`                                                                                                      |
| ------------------------------------------------ | -------------------------------------------------------------------------------------------------------------------------------------- |
| \`fine-grained\`: a blocked table hides what is below | the callback reaches no child: EPT_WALK_FAILED; the table cannot go first: EPT_PAGE_NOT_FREE. As on 1.5.05, before any lock matters      |
| \`fine-grained-visible\`: it hides that from guests only | the callback blocks a child, and cannot remove it: TLB_TRACKING_NOT_DONE. BLOCK of the table does not reach the children (message 12) |
| \`fine-grained-covering\`: it covers what is below   | every call of the callback succeeds. But the mirror entry is free while the Secure EPT still has the branch: SEPT.ADD of a fault gets EPT_ENTRY_STATE_INCORRECT, and a zap of the range hands pages back that the TD still has (S10) |

\`rcu-branch-frozen\` mends KVM's side: the mirror entry is FROZEN until the callback has removed the
branch. On \`fine-grained-covering\` it breaks no rule about guest, host and module; K48 is left
(and rarely K47), which forbids by its statement what it does on purpose: to remove without
mmu_lock. So the
argument of message 13, that the callback has the branch to itself, is right, if the module locks
parts of the tree, walks through a blocked table, and lets its block cover what is below, and if KVM
remembers the branch.

What the locks change shows in \`rcu-branch-frozen-bottom-up\`, which blocks and tracks every entry in
the callback. On 1.5.05 a zap of another page meets the callback twice at the tree lock, and is
BUSY where it must succeed (S01, OPERAND_BUSY|SEPT_TREE). On the fine-grained modules that does not
happen; but the zap meets the callback at TRACK, which locks the epoch of the whole TD
(OPERAND_BUSY|TD_EPOCH). A callback that needs TRACK is in the way of other zaps however small the
locks of the Secure EPT are.

\`host-priority\` and \`retry-n\` still break S01, though VP.ENTER under zero-step mitigation no
longer holds the whole tree: what is in their way is ACCEPT, which holds the entry, and VP.ENTER,
which shares the epoch. The locks of the tree's parts change neither.

\`sept hunt --module fine-grained\` meets F1 and F2 of 1.5.05, and not F5 and F6, in which PROMOTE
frees a table under a call that is in it: the call now holds that table.

## Must mid-level tables stay reachable until they are fully removed?

Yes, as the next remark of message 15 says, in two senses.

- In the Secure EPT, where a blocked table hides what is below (all modules that exist, and
  \`fine-grained\`): the module walks from the root, so the only order that works is bottom-up, every
  table mapped until it is empty. \`exclusive\` does that and passes. In a branch with tables in it the
  same holds at each level: \`sept question --module fine-grained\` asks it of such branches.
- In the mirror, on every module: the entry of the branch must not become free before the Secure EPT
  has lost it. \`fine-grained-covering\` shows it: nothing in the module keeps \`rcu-branch-free\` from
  working there, and still a fault fails. FROZEN is enough, present is not needed.

## May a fault split a large page with mmu_lock held for read?

With a DEMOTE that needs no block (\`demote-without-block\`), yes: \`split-in-fault\` passes. The mirror
entry is FROZEN around one DEMOTE, as around AUG. A DEMOTE that is refused or interrupted has changed
nothing, so the entry is thawed and the fault retried. What forbids the split on 1.5.05 is the block:
it has to be undone if DEMOTE is refused, and the UNBLOCK is refused as well
(\`huge-pages-2023\`, S01).

With a DEMOTE that is never interrupted (\`uninterruptible-demote\`), no: the block is still needed,
and the policies fail as on 1.5.05. What the feature ends is the unbounded restart under mmu_lock:
\`huge-pages-rfc1\` no longer breaks K66. A fault that splits under the read lock does not need it,
since it drops mmu_lock between two attempts; \`one-call-split\` has both features, and
\`split-in-fault\` passes on both modules.

- **The early test of the inhibit.** Version 3 of the series tests the range's inhibit before it takes
  mmu_lock, and skips the split if it is set. This is right under the write lock. Under the read lock
  another fault may have read the inhibit before it was set, and maps the range large afterwards; no
  fault splits that page any more (\`split-in-fault-early-test\`, K67). \`split-in-fault\` looks for a
  large page each time, in the read section that the fault needs anyway.
- **TLBs.** No public source states what a DEMOTE without a block promises. The small pages translate
  as the large one did, so a translation that a vCPU has cached stays right until one of them
  changes; and a small page is removed only after BLOCK and TRACK, whose flush drops the large
  translation as well. T05 judges that: \`test/spec/tdx/what-if.test.ts\` sees it broken by a module
  that skips the tracking.

## Does KVM's count of PAMT pages hold where the module needs them?

Yes: \`dynamic-pamt\` passes on module \`dynamic-pamt\`, where it turns the feature on and makes
PAMT.ADD and PAMT.REMOVE, and T17 is exercised. The count is that of version 6 of the series: a page
of a range that is counted already is counted without a lock; the first one is counted under
\`pamt_lock\`, after PAMT.ADD; the decrement of the last one takes the lock, and PAMT.REMOVE follows
under it. No call of either kind is then refused. \`huge-pages-v3\` leaves the feature off.

What the module answers to other ways of counting:

| KVM counts                                                        | the module                                                                                                                   |
| ----------------------------------------------------------------- | ---------------------------------------------------------------------------------------------------------------------------- |
| the first page before PAMT.ADD, without the lock                  | the second fault of \`v0: accept 0 \\| v1: accept 1 \\| @v0.0.159>1\` skips the ADD, and PAGE.AUG gets MISSING_PAMT_PAGE_PAIR   |
| the first page after PAMT.ADD, without the lock                   | the second PAMT.ADD gets OPERAND_BUSY\\|RCX while the first one runs, then HPA_RANGE_NOT_FREE\\|RCX                             |
| the last page before it takes the lock (versions 3 to 5)          | a PAMT.ADD in between gets HPA_RANGE_NOT_FREE, which these versions take for success. Two puts then both see 0: the second PAMT.REMOVE gets NO_PAMT_PAGE_PAIR |
| no page of a range that has a pair (B-88, version 3)              | PAMT.REMOVE for the first page that leaves gets PAMT_PAGE_NOT_EMPTY                                                           |

- **PAMT.REMOVE next to PAMT.ADD of one range.** Both lock the entry of the range exclusively, so the
  one that comes during the other is OPERAND_BUSY|RCX. Before the REMOVE, an ADD finds the pair
  (HPA_RANGE_NOT_FREE); before the ADD, a REMOVE finds none (NO_PAMT_PAGE_PAIR).
- **Which lock does what.** In one TD, mmu_lock keeps zaps and faults apart: the count of a range
  falls beside a fault only if another fault fails and puts its page. \`pamt_lock\` is needed for two
  faults, and for two TDs with pages in one range, which the checked platform does not have.
- **Splits.** DEMOTE takes the pair of the range from KVM, and counts as many pages as the range has;
  nothing can hold the range then, so it needs no \`pamt_lock\`. B-67, which checks the VM's cache in
  one section of its lock and takes from it in another, finds it empty here as on other modules.

\`test/impl/policies/dynamic-pamt.test.ts\` has these ways of counting, and their answers.

`;
