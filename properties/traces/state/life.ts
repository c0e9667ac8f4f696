/** VMs, roots and tables come and go; tasks walk through them. */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { asIdOf, frameOfAddress, isOfMirror, levelOf } from './addresses.ts';
import { Table } from './table.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export function followLife(world: World): void {
  world.on('vm_init', (e) => {
    world.newVm(e.number('kvm')).seenFromStart = true;
  });
  followBirths(world);
  world.on('zap_all', (e, task) => {
    world.vmOf(e, task).dying = true;
  });
  world.on('vm_uninit', (e, task) => {
    world.vmOf(e, task).uninitialised = e.line;
  });
  world.on('alloc_root', (e, task) => {
    const vm = world.vmOf(e, task);
    task.runs = vm.dying ? world.nextVm(vm) : vm;
    task.vm = task.runs;
  });
  world.on('init_sp', (e, task) => initialise(world, e, task));
  world.on('free_rcu', (e, task) => free(world, e, task));
  world.on('inval_roots', (e, task) => {
    for (const root of world.vmOf(e, task).roots) invalidate(root, e.line);
  });
  // where that is not told, and no role tells, whoever zaps invalid roots does it right after he made them so
  world.on('zap_inval', (e, task) => {
    if (world.kernel?.invalidRole !== 0 || world.hasSeen('inval_roots')) return;
    for (const root of world.vmOf(e, task).roots) invalidate(root, e.line);
  });
  world.on('put_root', (e, task) => {
    if (!e.has('spt')) return;
    const vm = world.vmOf(e, task);
    // it may have been there before the trace
    const root = world.found(frameOfAddress(e.number('spt')), vm, asIdOf(e), levelOf(e), 0);
    if (root.root === null) world.makeRoot(root);
    vm.rootsBySp.set(e.number('root'), root);
    // also where whoever made it invalid was inlined
    if ((e.low('role') & (world.kernel?.invalidRole ?? 0)) !== 0) invalidate(root, e.line);
  });
}

function invalidate(root: Table, line: number): void {
  if (!root.invalid) root.invalidLine = line;
  root.invalid = true;
}

/** Who first takes the mmu_lock of a VM that is being made, 6.1 and later ones. */
const MAKERS = new Set(
  ['kvm_page_track_register_notifier', 'kvm_mmu_change_mmu_pages'].map(hashOfText),
);

/** Where the making of a VM is not told, its lock tells. */
function followBirths(world: World): void {
  const locks = new Set<number>();
  world.listeners.acquired.push((_, { lock, caller }) => {
    if (locks.has(lock)) return;
    locks.add(lock);
    if (MAKERS.has(caller) && !world.vms.has(lock) && !world.hasForgotten)
      world.newVm(lock).seenFromStart = true;
  });
}

function initialise(world: World, e: TraceEvent, task: Task): void {
  const frame = frameOfAddress(e.number('spt'));
  const before = world.tables.get(frame);
  if (before !== undefined) {
    for (const listener of world.listeners.reusing) listener(before, task);
    world.drop(before);
  }
  const isRoot = e.number('sptep') === 0;
  const vm =
    task.vm ?? (isRoot ? null : world.tables.get(frameOfAddress(e.number('sptep')))?.vm) ?? null;
  if (vm === null) return;
  const table = world.add(new Table(frame, vm, asIdOf(e), levelOf(e), e.number('gfn')));
  table.life = 'initialised';
  table.initialisedLine = e.line;
  table.mirror = isOfMirror(e);
  if (world.kernel !== null) table.fill(world.kernel.layout.empty);
  if (!isRoot) return;
  table.life = 'linked';
  world.makeRoot(table);
  vm.rootsBySp.set(e.number('sp'), table);
}

/** A struct kvm_mmu_page is smaller than this; its head for RCU lies in it. */
const SP_BYTES = 256;

/**
 * Where roots have no names, their addresses are all there is to know that one is gone; null when
 * it is not known.
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
  const nameless =
    world.kernel?.namesTables === false ? namelessRootAt(world, e.number('head')) : undefined;
  const table =
    nameless === undefined ? world.tables.get(frameOfAddress(e.number('spt'))) : nameless;
  if (table === undefined || table === null) return;
  const { vm } = table;
  for (const listener of world.listeners.freeing) listener(table, task);
  table.release();
  vm.frees++;
  if (table.isRoot) {
    vm.roots = vm.roots.filter((root) => root !== table);
    for (const [sp, root] of vm.rootsBySp) if (root === table) vm.rootsBySp.delete(sp);
  }
  if (nameless === undefined) vm.tables.delete(table);
  else world.drop(table);
}

/** Which root a task walks, as long as it says so. */
export function followWalks(world: World): void {
  world.on('map', (e, task) => {
    const vm = liveVm(world, e, task);
    task.runs = vm;
    task.mapLine = e.line;
    task.walkSp = 0;
    task.walk = e.has('root') ? world.rootAt(e.number('root'), vm, 0) : null;
  });
  world.on('fpf', (e, task) => {
    task.runs = world.vmOf(e, task);
  });
  world.on('zap_root', (e, task) => {
    const vm = world.vmOf(e, task);
    const root = world.tables.get(frameOfAddress(e.number('spt')));
    task.walk = root?.vm === vm ? root : null;
  });
  world.on(['zap_leafs', 'zap_pass'], (e, task) => {
    const vm = e.has('kvm') ? world.vmOf(e, task) : task.vm;
    task.walkSp = e.number('root');
    task.walk = vm?.rootsBySp.get(task.walkSp) ?? null;
    vm?.rootSps.add(task.walkSp);
  });
  world.on(
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
  world.on(['map_ret'], (_, task) => {
    task.mapLine = 0;
    leave(task);
  });
  world.on(['zap_root_ret', 'zap_leafs_ret', 'zap_inval_ret'], (_, task) => leave(task));
}

function leave(task: Task): void {
  task.walk = null;
  task.walkSp = 0;
}

/** Addresses are used again: a VM that was taken down, and has a fault, is another one. */
function liveVm(world: World, e: TraceEvent, task: Task): Vm {
  // 6.1 names a vCPU, not its VM
  const vm = e.has('kvm')
    ? world.vmOf(e, task)
    : (world.vms.get(task.holds.at(-1)?.lock ?? 0) ?? null);
  const known = vm ?? world.newVm(task.holds.at(-1)?.lock ?? 0);
  task.vm = known.dying ? world.nextVm(known) : known;
  return task.vm;
}
