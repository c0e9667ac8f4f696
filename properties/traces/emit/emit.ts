/** Emits the run of a policy as a trace of a kernel, with the events of docs/capture.md. */
import { describeTree } from '../../../impl/vm/size.ts';
import type { Vm, VmKind } from '../../../impl/vm/vm.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import { Engine, type EngineOptions } from '../../checker/engine.ts';
import { vmOf, type Scenario } from '../../checker/scenarios/scenario.ts';
import { DECLARATIONS } from '../reader/event.ts';
import { AddressMap } from './address-map.ts';
import { DirectWriter } from './direct.ts';
import { EMITTED_EVENTS } from './emitted-events.ts';
import { probed } from './functions.ts';
import { TraceLog } from './log.ts';
import { writeSecure } from './secure.ts';

export interface Emission {
  /** Lines of ftrace text, without newlines. */
  readonly lines: readonly string[];
  /** The monitors' violation in the same run, which ends with the step that breaks the rule. */
  readonly violation: Violation | null;
}

/** Comments that declare how the model differs from a real kernel. */
const declarations = (kind: VmKind, { kvm: { tables } }: Vm): string[] => [
  `${DECLARATIONS.probes} ${EMITTED_EVENTS[kind].join(' ')}`,
  `${DECLARATIONS.entries} ${tables.fanout}`,
  // a grace period of the model waits for read sections only, not for holders of a lock
  `${DECLARATIONS.preemption} rt`,
];

/** Subscribes a log to a VM. */
type Writer = (vm: Vm, log: TraceLog, addresses: AddressMap) => void;

/** Runs scenarios and emits their traces. It builds its VMs once. */
export class Emitter {
  private readonly options: EngineOptions;
  private readonly byVm = new Map<string, { readonly engine: Engine; readonly log: TraceLog }>();

  constructor(options: EngineOptions) {
    this.options = options;
  }

  emit(scenario: Scenario): Emission {
    const { engine, log } = this.of(scenario);
    const violation = engine.run(scenario, log);
    return { lines: [...declarations(scenario.vm, engine.vm), ...log.lines], violation };
  }

  private of(scenario: Scenario): { readonly engine: Engine; readonly log: TraceLog } {
    const { kind, tree } = vmOf(scenario);
    const name = `${kind} ${describeTree(tree)}`;
    const known = this.byVm.get(name);
    if (known !== undefined) return known;
    const direct = new DirectWriter();
    const { policy } = this.options;
    const engine = new Engine({
      ...this.options,
      kind,
      tree,
      policy: { ...policy, direct: probed(policy.direct, direct) },
    });
    const log = new TraceLog(engine.vm.m);
    const write: Writer = kind === 'vm' ? (...of) => direct.attach(...of) : writeSecure;
    write(engine.vm, log, new AddressMap(engine.vm.tdx.geometry.fanout));
    this.byVm.set(name, { engine, log });
    return { engine, log };
  }
}
