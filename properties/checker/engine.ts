/**
 * Runs scenarios: a policy runs the program of a scenario by its schedule, rules watch every step,
 * and the first violation ends the run. The VM is built once; each run resets it.
 */
import { isInside, leaveTd } from '../../impl/platform/guest.ts';
import { createVm } from '../../impl/platform/platform.ts';
import type { Policy } from '../../impl/vm/policy.ts';
import { DEFAULT_TREE, GUEST_PAGES, sizesOf, treeOf, type Tree } from '../../impl/vm/size.ts';
import type { Vm, VmKind, VmVcpu } from '../../impl/vm/vm.ts';
import { KVM_RULES } from '../../spec/kvm/rules/index.ts';
import { ORDINARY } from '../../spec/machine/choices.ts';
import { LIVELOCK } from '../../spec/machine/faults.ts';
import type { Recorder } from '../../spec/machine/machine.ts';
import { about, isProtocol, RuleBook, type Rule } from '../../spec/machine/monitor.ts';
import type { Violation } from '../../spec/machine/rule.ts';
import { run } from '../../spec/machine/run.ts';
import { access, READ, type Steps } from '../../spec/machine/step.ts';
import { OUTSIDE_GUEST } from '../../spec/machine/vcpu.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import { listsVersion, type ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { SYSTEM_RULES } from '../rules/index.ts';
import { TD_KINDS, type VmRule } from '../rules/rule.ts';
import { guardOf } from './module-guard.ts';
import { GUEST_OPERATIONS, HOST_OPERATIONS } from './operations/td.ts';
import {
  GUEST_OPERATIONS_OF_A_VM,
  HOST_OPERATIONS_OF_A_VM,
  operationOfAVm,
} from './operations/vm.ts';
import { buildError, runError, UnusableScenario } from './run-errors.ts';
import { DeviationChoices } from './scenarios/deviations.ts';
import {
  actorName,
  type ActorProgram,
  type Scenario,
  type Operation,
} from './scenarios/scenario.ts';
import { assertUsable } from './usable.ts';

/** Policy, kind of VM, module version and rules of an {@link Engine}. */
export interface EngineOptions {
  readonly policy: Policy;
  /** The kind of VM; the first that the policy runs when absent. */
  readonly kind?: VmKind;
  readonly module: ModuleVersion;
  /** The tree of the VM's page tables; the default when absent. */
  readonly tree?: Tree;
  /** False: no rule watches, to measure what the rules cost. */
  readonly rules?: boolean;
  /** Only rules whose id is here; all when absent. */
  readonly only?: readonly string[];
  /** Rules besides the shipped ones. */
  readonly extra?: readonly Rule<Vm>[];
  /** Wraps each run: a watchdog for policies that may never yield. */
  readonly guard?: (run: () => void) => void;
  /** Number of steps after which a run is a livelock. */
  readonly maxSteps?: number;
  /** Destroy the VM at the end of each run and check what is left; true when absent. */
  readonly teardown?: boolean;
}

/** Number of vCPUs of the VM, and so of the vCPU actors that a scenario can have. */
const VCPUS = 2;

/** Enough for every page to be zapped at the end, beside a guest that is refused 500 times. */
const mostSteps = (tree: Tree): number => 20_000 + 150 * (sizesOf(tree).guestPages - GUEST_PAGES);
/** An ordinary scenario takes about 800 steps. */
const OUTCOME_STEPS = 5000;

/** Runs scenarios on a policy, one at a time, on one VM. */
export class Engine {
  readonly vm: Vm;
  readonly book: RuleBook<Vm>;
  /** Steps performed in all runs. */
  steps = 0;
  private readonly choices: DeviationChoices;
  private readonly maxSteps: number;
  /** Number of steps that the current run may take. */
  private limit: number;
  private readonly teardown: boolean;
  private readonly guard: (run: () => void) => void;
  private readonly module: ModuleVersion;
  private readonly performing: () => void;

  constructor({
    policy,
    kind = policy.vms[0] ?? 'td',
    module,
    tree = DEFAULT_TREE,
    rules = true,
    only,
    extra = [],
    guard,
    maxSteps = mostSteps(tree),
    teardown = true,
  }: EngineOptions) {
    if (!policy.vms.includes(kind)) {
      throw new UnusableScenario(
        `policy ${policy.name} runs VMs of kind ${policy.vms.join(', ')}, not ${kind}`,
      );
    }
    this.guard = guardOf(module)?.run ?? guard ?? ((body) => body());
    this.module = module;
    const shape = treeOf(tree);
    this.vm = this.build(policy, () =>
      createVm({ kind, policy, module, vcpus: VCPUS, tree: shape }),
    );
    const known = [...rulesFor(this.vm.tdx.version, kind), ...extra];
    const applicable = rules ? known.filter((rule) => only?.includes(rule.id) ?? true) : [];
    this.performing = () => this.perform();
    this.book = new RuleBook(this.vm.m, this.vm, applicable);
    this.choices = new DeviationChoices(this.vm.m);
    this.maxSteps = maxSteps;
    this.limit = maxSteps;
    this.teardown = teardown;
  }

  /** Builds the VM, which calls the policy and the module. @throws PolicyError, ModuleError */
  private build(policy: Policy, create: () => Vm): Vm {
    const built: Vm[] = [];
    try {
      this.guard(() => {
        built.push(create());
      });
    } catch (error) {
      throw buildError(error, policy, this.module);
    }
    return built[0] as Vm; // create() has returned
  }

  /**
   * Runs one scenario. The result is a function of the scenario alone. If a run breaks a K rule,
   * the scenario is run again without K rules: the outcome that another rule sees says more than
   * the protocol that was broken, unless the outcome is only a livelock. So a shorter run is
   * enough.
   *
   * @throws UnusableScenario, PolicyError
   */
  run(scenario: Scenario, recorder: Recorder | null = null): Violation | null {
    this.book.onlyOutcomes = false;
    const violation = this.runOnce(scenario, recorder);
    if (violation === null || !isProtocol(violation.rule)) return violation;
    this.book.onlyOutcomes = true;
    const outcome = this.runOnce(scenario, recorder, Math.min(this.maxSteps, OUTCOME_STEPS));
    if (
      outcome !== null &&
      outcome.rule !== this.book.reportedAs(LIVELOCK.id) &&
      this.judges(outcome.rule)
    )
      return outcome;
    this.book.onlyOutcomes = false;
    // the recorder has to see the run whose violation is returned
    return recorder === null ? violation : this.runOnce(scenario, recorder);
  }

  private judges(id: string): boolean {
    return this.book.rules.some((rule) => rule.id === id);
  }

  private runOnce(
    scenario: Scenario,
    recorder: Recorder | null,
    maxSteps = this.maxSteps,
  ): Violation | null {
    const { m } = this.vm;
    this.limit = maxSteps;
    this.prepare(scenario, recorder);
    try {
      this.guard(this.performing);
    } catch (error) {
      throw runError(error, this.vm, this.module, scenario);
    }
    m.recorder = null;
    const { violation } = m;
    return violation === null ? null : { ...violation, rule: this.book.reportedAs(violation.rule) };
  }

  /**
   * Resets the VM and spawns the actors of `scenario`, which {@link run} or another scheduler then
   * steps.
   */
  prepare(scenario: Scenario, recorder: Recorder | null = null): void {
    const { m, sizes } = this.vm;
    assertUsable(scenario, sizes);
    m.reset();
    m.recorder = recorder;
    m.choices = this.choices;
    this.choices.follow(scenario.deviations);
    for (const [index, actor] of scenario.actors.entries()) {
      m.spawn(actorName(scenario, index), this.program(scenario, actor, index));
    }
  }

  /** Runs the program, then checks what it leaves, then destroys the VM. */
  private perform(): void {
    const { m } = this.vm;
    if (run(m, this.limit) === 'finished') this.rest();
    this.steps += m.now;
    if (m.violation === null && this.teardown && !this.vm.td.isDead()) this.destroy();
  }

  /** Calls the rules when every actor has ended, unless KVM has given the VM up (KVM_BUG_ON). */
  private rest(): void {
    if (this.vm.td.isDead()) return;
    for (const listener of this.vm.listeners) listener.atRest?.();
    for (const listener of this.vm.kvm.listeners) listener.atRest?.();
    this.book.atRest();
  }

  private destroy(): void {
    const { m, policy } = this.vm;
    const before = m.now;
    m.recorder?.note('the VM is destroyed');
    m.choices = ORDINARY;
    m.poke(this.vm.td.failing, 0);
    m.actors.length = 0;
    m.spawn(
      'destroy',
      this.vm.kind === 'vm' ? policy.direct.destroyVm(this.vm.kvm) : policy.destroy(this.vm),
    );
    if (run(m, before + this.limit) === 'finished') this.book.atEnd();
    this.steps += m.now - before;
  }

  private *program(scenario: Scenario, actor: ActorProgram, index: number): Steps<void> {
    const vcpu = actor.role === 'vcpu' ? this.vcpuOf(scenario, index) : null;
    // few variables: a generator saves and restores them at every step
    for (let at = 0; at < actor.operations.length; at++) {
      // a step of its own: what an operation does before its first step then belongs to the run
      yield access(this.vm.slot, READ);
      yield* this.begin(vcpu, at, actor.operations[at] as Operation); // at < length
      this.end();
    }
    if (vcpu !== null) yield* this.leaveGuest(vcpu);
  }

  /** Makes a vCPU whose program has ended leave the guest, if it is inside. */
  private *leaveGuest(vcpu: VmVcpu): Steps<void> {
    if (this.vm.kind !== 'vm') {
      if (isInside(this.vm, vcpu)) yield* leaveTd(this.vm, vcpu);
    } else if (vcpu.kvm.mode() !== OUTSIDE_GUEST) yield* vcpu.kvm.leave();
  }

  /** Begins an operation and returns its steps. */
  private begin(vcpu: VmVcpu | null, at: number, operation: Operation): Steps<void> {
    const { vm } = this;
    vm.m.beginOp(at);
    const { name } = operation;
    if (vm.kind === 'vm')
      return (
        operationOfAVm(vm, vcpu?.index ?? -1, operation) ??
        unknown(name, vcpu === null ? HOST_OPERATIONS_OF_A_VM : GUEST_OPERATIONS_OF_A_VM)
      );
    if (vcpu === null)
      return HOST_OPERATIONS.get(name)?.(vm, operation) ?? unknown(name, HOST_OPERATIONS);
    return GUEST_OPERATIONS.get(name)?.(vm, vcpu, operation) ?? unknown(name, GUEST_OPERATIONS);
  }

  /** Ends the current operation. */
  private end(): void {
    for (const listener of this.vm.listeners) listener.operationEnded?.();
  }

  private vcpuOf(scenario: Scenario, index: number): VmVcpu {
    const place = scenario.actors.slice(0, index).filter((a) => a.role === 'vcpu').length;
    const vcpu = this.vm.vcpus[place];
    if (vcpu === undefined) throw new UnusableScenario(`the scenario has more than ${VCPUS} vCPUs`);
    return vcpu;
  }
}

function unknown(name: string, known: ReadonlyMap<string, unknown>): never {
  throw new UnusableScenario(
    `unknown operation "${name}"; this actor has ${[...known.keys()].join(', ')}`,
  );
}

/** Rules that judge VMs of a kind, or of any kind, on a version of the TDX module. */
export function rulesFor(version: ModuleVersion, kind?: VmKind): VmRule[] {
  const module = TDX_RULES.map((rule) => about(rule, (vm: Vm) => vm.tdx));
  const kvm = KVM_RULES.map((rule): VmRule => ({
    ...about(rule, (vm: Vm) => vm.kvm),
    vms: ['vm'],
  }));
  return [...module, ...kvm, ...SYSTEM_RULES].filter(
    (rule: VmRule) =>
      (kind === undefined || (rule.vms ?? TD_KINDS).includes(kind)) &&
      listsVersion(rule.versions, version) &&
      !(rule.finding !== undefined && listsVersion(rule.finding.versions, version)),
  );
}
