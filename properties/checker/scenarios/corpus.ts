/**
 * Shrunk scenarios that broke some policy. They run first, on every policy, because a scenario that
 * broke one is likely to break the next. Add a line when a check finds something new.
 */
import type { Scenario } from './scenario.ts';
import { parseScenario } from './text.ts';

const TEXTS = [
  // a child overtakes its parent (mirror-naive)
  'v0: touch 0 | v1: accept 0 | @v0.0.62>1',
  'v0: read 0 | v1: touch 0 | @v0.0.34>1',
  // a blocked table hides its children (rcu-branch-free)
  'v0: read 0 | h0: remove-table 0',
  // the callback meets BUSY because of a fault on another GFN
  'v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1',
  // a fault under a pruned entry meets the table that the mirror no longer has
  'v0: read 0 | h0: remove-table 0 | @v0.0.120>1',
  'v0: read 0 | h0: remove-table 0 | @x0.0.1>1 @v0.0.119>1',
  // pages are returned before the callback has removed them
  'v0: touch 0; idle 0 | h0: remove-table 0; unmap 0',
  // a page is returned between the zap and the end of the invalidation (an early zap block)
  'h0: unmap 1 | v0: touch 1 | @h0.0.4>1',
  'h0: remove-table 2 | v0: accept 2 | @h0.0.6>1',
  // faults retried through the TD arm zero-step mitigation; a pending page then keeps the vCPU out
  'v0: accept-huge 0; accept 1 | h0: remove-table 0; unmap 0; remove-table 0 | @v0.0.27>1',
  // a guest is refused an entry because a host call has priority (breaks no policy, exercises T13)
  'v0: accept-huge 0 | v1: accept-huge 0 | h0: remove-slot 0 | @v1.0.28>1',
  // a page is added while a vCPU under zero-step mitigation holds the tree lock (K53)
  'v0: accept-huge 0 | v1: touch 0 | @v0.0.1>1 @v1.0.13>1',
  // a fault finds its memslot being deleted (K42)
  'v0: touch 0 | h0: remove-slot 0 | @v0.0.25>1',
  // a hole is punched while FINALIZE holds the TDR, or before the state is RUNNABLE
  // (finalize-unlocked)
  'new-td | h0: finalize 0 | h1: unmap 0 | @h0.0.11>1',
  'new-td | h0: finalize 0 | h1: unmap 0 | @h0.0.14>1',
  // a hole is punched while VP.INIT holds the TDR (init-vcpu-unlocked)
  'new-td | h0: init-vcpu 1 | h1: unmap 0 | @h0.0.120>1',
  // VP.ENTER under zero-step mitigation is in progress while a page is zapped (retry-n,
  // host-priority)
  'v0: | v1: touch 0 | h0: unmap 0 | @v1.0.136>1',
  'v0: touch 0 | h0: remove-table 0 | @v0.0.144>1',
  'v0: read 0 | v1: read 0 | h0: unmap 0 | @v1.0.13>1',
  'v0: | v1: read 0 | h0: unmap 0 | @v1.0.128>1',
  'v0: touch 1; touch 0 | h0: unmap 1 | @v0.1.27>1',
  // a branch without leaves is pruned, and the callback runs after mmu_lock (rcu-branch-free)
  'v0: touch 0 | h0: unmap 0; remove-table 0',
  // a large page is accepted in part, its split is interrupted, its folio is split (huge-pages-*)
  'v0: accept-huge 0; read 0',
  'v0: accept-huge 0 | h0: interrupt-storm 0; unmap 0',
  'v0: accept-huge 0 | h0: split-folio 0',
  // two faults on a page get a PAMT page each (dynamic-pamt, an early version of K68)
  'v0: accept 1 | v1: touch 1 | @v0.0.102>1',
] as const;

export const CORPUS: readonly Scenario[] = TEXTS.map(parseScenario);
