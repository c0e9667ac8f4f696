/** K44 to K46, K49, K53: how an entry of the mirror and its twin in the Secure EPT change together. */
import type { CallName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { frameOf, isPresent, pagesAt, TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS, type Tds } from '../tdx/follow.ts';
import { alignTo, describe, keyOf, nameOfKey, type Entry, type Key, type Td } from '../tdx/td.ts';
import type { TraceRule } from './rule.ts';

/** Calls that make an entry present. */
const ADDS: ReadonlySet<CallName> = new Set([
  'tdh_mem_sept_add',
  'tdh_mem_page_aug',
  'tdh_mem_page_add',
]);

/** KVM's hook: one since 7.2, two before. */
const HOOKS = ['tdx_sept_set_private_spte', 'tdx_sept_link_private_spt'] as const;
const HOOKS_END = ['tdx_sept_set_private_spte_ret', 'tdx_sept_link_private_spt_ret'] as const;

/** Tells of changes of mirrors. */
export function onMirror(tds: Tds, listener: (c: Change, td: Td) => void): void {
  tds.world.listeners.changing.push((c) => {
    if (c.table?.mirror === true && c.fit !== 'late') listener(c, tds.of(c.vm));
  });
}

/**
 * Follows for which entry of the mirror each task is in KVM's hook: it is FROZEN meanwhile, or
 * mmu_lock is its own.
 */
function followHooks({ world }: Tds): ReadonlyMap<Task, Key> {
  const inHook = new Map<Task, Key>();
  world.on(HOOKS, (e, task) => inHook.set(task, keyOf(e.number('gfn'), e.low('level'))));
  world.on(HOOKS_END, (_, task) => inHook.delete(task));
  world.listeners.forgetting.push(() => inHook.clear());
  return inHook;
}

/** Does the Secure EPT have what the mirror is to say? */
function agrees(c: Change, { holds, frame, blockedIn }: Entry): boolean {
  if (blockedIn >= 0) return false;
  if (c.newKind === TABLE) return holds === 'table';
  return holds === 'leaf' && (frame < 0 || frame === frameOf(c.newHi, c.newLo));
}

const K44: TraceRule = {
  id: 'K44',
  needs: ['chg'],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    const inHook = followHooks(tds);
    onMirror(tds, (c, td) => {
      if (!isPresent(c.newKind) || isPresent(c.oldKind)) return;
      const entry = td.at(c.gfn, c.level);
      if (entry === null) return report.unjudged('what the Secure EPT had when the trace began');
      report.exercised(c.vm);
      if (agrees(c, entry)) return;
      const by: readonly CallName[] =
        c.newKind === TABLE ? ['tdh_mem_sept_add'] : ['tdh_mem_page_add', 'tdh_mem_page_aug'];
      const where = { line: c.line, task: c.task, vm: c.vm, unless: by.flatMap(eventsOf) };
      report.violated(
        where,
        `the mirror has it, and the Secure EPT is ${describe(entry)} there: ${valuesOf(c)}`,
        entry.line === 0 ? [] : [{ line: entry.line, what: 'the last call that changed it' }],
      );
    });
    tds.began.push((td, task, call) => {
      if (!ADDS.has(call.name) || tds.mayWrite(td, task) || inHook.get(task) === call.key) return;
      report.violated(
        { line: call.line, task, vm: td.vm, unless: ['tdx_sept_set_private_spte'] },
        `${call.name} for ${nameOfKey(call.key)}, which its caller has not frozen in the mirror`,
      );
    });
  },
};

const K45: TraceRule = {
  id: 'K45',
  needs: eventsOf('tdh_mem_sept_add'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (!ADDS.has(call.name) || call.level === td.root?.level) return;
      const above = keyOf(alignTo(call.gfn, call.level + 1), call.level + 1);
      const parent = td.at(alignTo(call.gfn, call.level + 1), call.level + 1);
      if (parent === null) return report.unjudged('what the Secure EPT had when the trace began');
      report.exercised(td.vm);
      if (parent.holds === 'table' && parent.blockedIn < 0) return;
      const unless = parent.holds === 'leaf' ? eventsOf('tdh_mem_page_demote') : [];
      report.violated(
        { line: call.line, task, vm: td.vm, unless },
        `${call.name} for ${nameOfKey(call.key)} before there is a table at ${nameOfKey(above)}: that is ${describe(parent)}`,
      );
    });
  },
};

const K46: TraceRule = {
  id: 'K46',
  needs: ['chg'],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    onMirror(tds, (c, td) => {
      if (!isPresent(c.oldKind)) return;
      if (!tds.world.recordsLocksOf(c.task, c.vm))
        return report.unjudged(`no event of a lock is recorded for ${c.task.name}`);
      report.exercised(c.vm);
      if (!tds.mayWrite(td, c.task)) {
        report.violated(
          c,
          `a present entry of the mirror is changed, and mmu_lock is not held for write: ${valuesOf(c)}`,
        );
      }
    });
  },
};

const K49: TraceRule = {
  id: 'K49',
  needs: ['chg'],
  watch: (_, report, { tds }) => {
    onMirror(tds, (c, td) => {
      const isOther =
        c.oldKind !== c.newKind || frameOf(c.oldHi, c.oldLo) !== frameOf(c.newHi, c.newLo);
      if (!isPresent(c.oldKind) || !isPresent(c.newKind) || !isOther) return;
      const entry = td.at(c.gfn, c.level);
      if (entry === null) return report.unjudged('what the Secure EPT had when the trace began');
      report.exercised(c.vm);
      if (agrees(c, entry)) return;
      const unless = eventsOf(c.newKind === TABLE ? 'tdh_mem_page_demote' : 'tdh_mem_page_promote');
      report.violated(
        { line: c.line, task: c.task, vm: c.vm, unless },
        `the module was not asked for that, and has a ${describe(entry)} there: ${valuesOf(c)}`,
      );
    });
  },
};

const K53: TraceRule = {
  id: 'K53',
  needs: ['chg', 'tdh_mem_page_aug', 'tdh_mem_page_aug_ret'],
  watch: (world, report, { tds }) => {
    /**
     * By task: the call that was refused, and the entry that the task has changed ahead of its
     * call.
     */
    const refused = new Map<Task, TracedCall>();
    const changed = new Map<Task, Key>();
    const over = (line: number, task: Task): void => {
      const call = refused.get(task);
      refused.delete(task);
      if (call === undefined || changed.get(task) !== call.key) return;
      report.violated(
        { line, task, vm: task.vm },
        `the fault is over, and ${nameOfKey(call.key)} was not put back in the mirror`,
        [{ line: call.line, what: `${call.name} was refused` }],
      );
    };
    tds.ended.push((_td, task, call) => {
      if (!ADDS.has(call.name)) return;
      if (call.isBusy) refused.set(task, call);
      else if (refused.get(task)?.key === call.key) refused.delete(task);
    });
    world.on(HOOKS, (e, task) => changed.set(task, keyOf(e.number('gfn'), e.low('level'))));
    world.on(HOOKS_END, (e, task) => {
      const call = refused.get(task);
      refused.delete(task);
      changed.delete(task);
      if (call === undefined) return;
      report.exercised(task.vm);
      if (e.low('ret') !== 0) return;
      report.violated(
        { line: e.line, task, vm: task.vm },
        `${call.name} was refused, and KVM goes on as if it were done`,
        [{ line: call.line, what: 'the call' }],
      );
    });
    onMirror(tds, (c) => {
      const key = keyOf(c.gfn, c.level);
      const call = refused.get(c.task);
      if (call?.key === key && isPresent(c.newKind)) {
        report.violated(c, `it becomes present after ${call.name} was refused: ${valuesOf(c)}`, [
          { line: call.line, what: 'the call' },
        ]);
      }
      if (isPresent(c.newKind)) changed.set(c.task, key);
      else if (changed.get(c.task) === key) changed.delete(c.task);
    });
    world.on(['tdp_fault', 'tdx_handle_exit_ret', 'kvm_entry'], (e, task) => {
      if (refused.size > 0) over(e.line, task);
    });
    world.listeners.forgetting.push(() => {
      refused.clear();
      changed.clear();
    });
  },
};

/** GFNs that a change of the mirror is about. */
export const covers = (c: Change, gfn: number): boolean =>
  gfn >= c.gfn && gfn < c.gfn + pagesAt(c.level);

export default [K44, K45, K46, K49, K53] satisfies readonly TraceRule[];
