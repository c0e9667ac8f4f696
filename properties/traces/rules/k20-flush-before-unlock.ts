/** K20 in a trace: flushes after zaps, and vCPUs that run in the guest although KVM flushed. */
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { flushRule } from './flush-rule.ts';
import type { TraceReporter, TraceRule } from './rule.ts';
import { mayReportExitsLate, LATE_EXIT } from './vcpu-exits.ts';

/** A flush that has returned. */
interface Flush {
  readonly begin: number;
  readonly by: Task;
}

/** Lines of a vCPU's last entry, its entry if it is in the guest, and its last flush; or 0. */
interface Guest {
  entered: number;
  inside: number;
  flushed: number;
}

class Guests {
  private readonly guests = new Map<Task, Guest>();
  private readonly begun = new Map<Task, { readonly line: number; readonly vm: Vm }>();
  /** Last flush of each VM that has returned. */
  private readonly done = new Map<Vm, Flush>();
  private readonly world: World;
  private readonly report: TraceReporter;

  constructor(world: World, report: TraceReporter) {
    this.world = world;
    this.report = report;
    world.on('kvm_entry', ({ line }, task) => this.onEntry(world, task, line));
    world.on('kvm_exit', (_, task) => {
      this.of(task).inside = 0;
    });
    world.on('hwflush', ({ line }, task) => {
      this.of(task).flushed = line;
    });
    world.on('flush', (e, task) => {
      this.begun.set(task, { line: e.line, vm: world.vmOf(e, task) });
    });
    world.on('flush_ret', ({ line }, task) => this.onFlushed(task, line));
    world.listeners.forgetting.push(() =>
      [this.guests, this.begun, this.done].forEach((map) => map.clear()),
    );
  }

  private of(task: Task): Guest {
    const known = this.guests.get(task) ?? { entered: 0, inside: 0, flushed: 0 };
    this.guests.set(task, known);
    return known;
  }

  private onEntry(world: World, task: Task, line: number): void {
    const guest = this.of(task);
    const flush = task.runs === null ? undefined : this.done.get(task.runs);
    if (
      flush !== undefined &&
      guest.entered > 0 &&
      guest.entered < flush.begin &&
      world.hasSeen('hwflush')
    ) {
      this.report.exercised(task.runs);
      if (guest.flushed < flush.begin) {
        this.report.violated(
          { line, task, vm: task.runs },
          'a vCPU enters the guest without the TLB flush that KVM requested',
          [
            { line: flush.begin, what: `${flush.by.name} flushes` },
            { line: guest.entered, what: `${task.name} entered the guest before` },
          ],
        );
      }
    }
    guest.entered = line;
    guest.inside = line;
  }

  private onFlushed(by: Task, line: number): void {
    const begun = this.begun.get(by);
    this.begun.delete(by);
    if (begun === undefined) return;
    const { vm, line: begin } = begun;
    for (const [task, { inside }] of this.guests) {
      if (task.runs !== vm || inside === 0) continue;
      if (mayReportExitsLate(this.world)) {
        this.report.notJudged(LATE_EXIT);
        continue;
      }
      this.report.exercised(vm);
      if (inside >= begin) continue;
      this.report.violated(
        { line, task: by, vm },
        `the flush returns while ${task.name} is still in the guest`,
        [
          { line: begin, what: `${by.name} flushes` },
          { line: inside, what: `${task.name} entered the guest` },
        ],
      );
    }
    this.done.set(vm, { begin, by });
  }
}

const GUESTS: TraceRule = {
  id: 'K20',
  needs: ['flush', 'flush_ret', 'kvm_entry', 'kvm_exit'],
  watch: (world, report) => new Guests(world, report),
};

export default [flushRule('K20', 'zapping'), GUESTS] satisfies readonly TraceRule[];
