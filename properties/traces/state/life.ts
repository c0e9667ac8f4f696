/** Follows the lives of VMs, roots and tables, and the root that each task walks. */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { asIdOf, frameOfPhysical, isOfMirror, levelOf } from './addresses.ts';
import { Table } from './table.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export function followLife(world: World): void {
  world.onState('vm_init', (e) => {
    world.addFromStart(e.number('kvm'));
  });
  followCreation(world);
  world.onState('zap_all', (e, task) => {
    world.vmOf(e, task).dying = true;
  });
  world.onState('vm_uninit', (e, task) => {
    world.vmOf(e, task).uninitialised = e.line;
  });
  world.onState('alloc_root', (e, task) => {
    const vm = world.vmOf(e, task);
    task.runs = vm.dying ? world.nextVm(vm) : vm;
    task.vm = task.runs;
  });
  world.onState('init_sp', (e, task) => initialise(world, e, task));
  world.onState('free_rcu', (e, task) => free(world, e, task));
  world.onState('inval_roots', (e, task) => {
    for (const root of world.vmOf(e, task).roots) root.invalidate(e.line);
  });
  // where neither inval_roots nor a role shows it, roots are invalidated just before this zap
  world.onState('zap_inval', (e, task) => {
    if (world.kernel?.invalidRole !== 0 || world.hasSeen('inval_roots')) return;
    for (const root of world.vmOf(e, task).roots) root.invalidate(e.line);
  });
  world.onState('put_root', (e, task) => {
    const frame = world.frameAt(e.number('spt'));
    if (!e.has('spt') || Number.isNaN(frame)) return;
    const vm = world.vmOf(e, task);
    // the root may be older than the trace
    const root = world.tableAt(frame, vm, asIdOf(e), levelOf(e), 0);
    world.rootLevel = root.level;
    if (root.root === null) world.makeRoot(root);
    vm.rootsBySp.set(e.number('root'), root);
    // shows it also where the function that invalidated the root was inlined
    if ((e.low('role') & (world.kernel?.invalidRole ?? 0)) !== 0) root.invalidate(e.line);
  });
}

/** Functions that are the first to take mmu_lock of a new VM: in 6.1, and in later kernels. */
const CREATORS = new Set(
  ['kvm_page_track_register_notifier', 'kvm_mmu_change_mmu_pages'].map(hashOfText),
);

/** Recognises new VMs by their lock, where no event shows their creation. */
function followCreation(world: World): void {
  const locks = new Set<number>();
  world.listeners.acquired.pushState((_, { lock, caller }) => {
    if (locks.has(lock)) return;
    locks.add(lock);
    if (CREATORS.has(caller) && !world.vms.has(lock) && !world.hasForgotten)
      world.addFromStart(lock);
  });
}

function initialise(world: World, e: TraceEvent, task: Task): void {
  const frame = world.frameAt(e.number('spt'));
  if (Number.isNaN(frame)) return;
  const before = world.tables.get(frame);
  if (before !== undefined) {
    for (const listener of world.listeners.reusing.all) listener(before, task);
    world.drop(before);
  }
  const isRoot = e.number('sptep') === 0;
  const vm =
    task.vm ?? (isRoot ? vmOfHold(world, task) : world.tableOf(e.number('sptep'))?.vm) ?? null;
  if (vm === null) return;
  const table = world.add(new Table(frame, vm, asIdOf(e), levelOf(e), e.number('gfn')));
  table.initialise(e.line);
  table.mirror = isOfMirror(e);
  if (world.kernel !== null) table.fill(world.kernel.layout.empty);
  if (!isRoot) return;
  table.link();
  world.makeRoot(table);
  world.rootLevel = table.level;
  vm.rootsBySp.set(e.number('sp'), table);
}

/** The VM whose mmu_lock the task has acquired last: the lock is at the address of the VM. */
const vmOfHold = (world: World, task: Task): Vm | undefined =>
  world.vms.get(task.holds.at(-1)?.lock ?? 0);

/** Frames of the tables that are not freed, as far as they are known. */
function* framesIn(world: World): Generator<number> {
  for (const { frame, life } of world.tables.values())
    if (frame >= 0 && life !== 'freed') yield frame;
}

/** Upper bound of the size of struct kvm_mmu_page, which contains its rcu_head. */
const SP_BYTES = 256;

/**
 * Returns the root without a known page whose struct kvm_mmu_page contains `head`; null for a root
 * that is not known further, undefined when `head` belongs to no such root.
 */
function namelessRootAt(world: World, head: number): Table | null | undefined {
  for (const { rootSps, rootsBySp } of world.vms.values()) {
    for (const sp of rootSps) {
      if (head < sp || head >= sp + SP_BYTES) continue;
      rootSps.delete(sp);
      const root = rootsBySp.get(sp);
      return root === undefined || root.frame < 0 ? (root ?? null) : undefined;
    }
  }
  return undefined;
}

function free(world: World, e: TraceEvent, task: Task): void {
  if (!world.directMap.isConfirmed) world.directMap.seeOneOf(e, e.number('spt'), framesIn(world));
  const nameless =
    world.kernel?.namesTables === false ? namelessRootAt(world, e.number('head')) : undefined;
  const table = nameless === undefined ? world.tableOf(e.number('spt')) : nameless;
  if (table === undefined || table === null) return;
  const { vm } = table;
  for (const listener of world.listeners.freeing.all) listener(table, task);
  table.release();
  vm.frees++;
  if (table.isRoot) {
    vm.roots = vm.roots.filter((root) => root !== table);
    for (const [sp, root] of vm.rootsBySp) if (root === table) vm.rootsBySp.delete(sp);
  }
  if (nameless === undefined) vm.tables.delete(table);
  else world.drop(table);
}

/**
 * Returns the root at a physical address; adds it if it is older than the trace, as one of the
 * usual address space, with the level of the root last seen.
 */
function rootAt(world: World, address: number, vm: Vm): Table {
  const known = world.rootOf(address);
  const root = known ?? world.tableAt(frameOfPhysical(address), vm, 0, world.rootLevel, 0);
  if (known === undefined) root.isAssumed = true;
  if (root.root === null) world.makeRoot(root);
  return root;
}

/** Follows which root each task walks. */
export function followWalks(world: World): void {
  world.onState('map', (e, task) => {
    const vm = liveVm(world, e, task);
    task.runs = vm;
    task.mapLine = e.line;
    task.walkSp = 0;
    task.walk = e.has('root') ? rootAt(world, e.number('root'), vm) : null;
  });
  world.onState('fpf', (e, task) => {
    task.runs = world.vmOf(e, task);
    task.faultRoot = e.number('root');
  });
  world.onState('fpf_ret', (_, task) => {
    task.faultRoot = 0;
  });
  world.onState('zap_root', (e, task) => {
    const vm = world.vmOf(e, task);
    const root = world.tableOf(e.number('spt'));
    task.walk = root?.vm === vm ? root : null;
  });
  world.onState(['zap_leafs', 'zap_pass'], (e, task) => {
    const vm = e.has('kvm') ? world.vmOf(e, task) : task.vm;
    task.walkSp = e.number('root');
    task.walk = vm?.rootsBySp.get(task.walkSp) ?? null;
    vm?.rootSps.add(task.walkSp);
  });
  world.onState(
    [
      'age',
      'cleardirty_pt',
      'cleardirty_slot',
      'wrprot_slot',
      'split_slot',
      'recover_slot',
      'collapse_slot',
      'unmap_range',
      'unmap_gfn_range',
      'wp_gfn',
      'nxzap',
      'zap_inval',
      'put_root',
    ],
    (e, task) => {
      world.vmOf(e, task);
      leave(task);
    },
  );
  world.onState(['map_ret'], (_, task) => {
    task.mapLine = 0;
    leave(task);
  });
  endFault(world);
  world.onState(['zap_root_ret', 'zap_leafs_ret', 'zap_inval_ret'], (_, task) => leave(task));
}

/** A task that releases mmu_lock has ended its fault: faults do not yield it. */
function endFault(world: World): void {
  world.listeners.releasing.pushState((task, { lock }) => {
    if (task.mapLine === 0 || !world.vms.has(lock)) return;
    task.mapLine = 0;
    leave(task);
  });
}

function leave(task: Task): void {
  task.walk = null;
  task.walkSp = 0;
}

/** Returns the VM of a fault. A fault in a destroyed VM belongs to a new VM at the same address. */
function liveVm(world: World, e: TraceEvent, task: Task): Vm {
  // the probe of 6.1 fetches the vCPU, not its VM
  const vm = e.has('kvm') ? world.vmOf(e, task) : vmOfHold(world, task);
  const known = vm ?? world.newVm(task.holds.at(-1)?.lock ?? 0);
  task.vm = known.dying ? world.nextVm(known) : known;
  return task.vm;
}
