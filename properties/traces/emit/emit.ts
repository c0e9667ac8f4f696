/** A run of a policy, as a trace of the kernel that it is a model of: what the events of docs/capture.md would have told. */
import type { Violation } from '../../../spec/machine/rule.ts';
import type { Vm } from '../../../impl/vm.ts';
import { Engine, type EngineOptions } from '../../engine.ts';
import type { History } from '../../histories/history.ts';
import { writeDirect } from './direct.ts';
import { TraceLog } from './log.ts';
import { TDX_EVENTS, type EventName } from '../kernels/events.ts';
import { DECLARES } from '../reader/event.ts';
import { Places } from './places.ts';
import { writeSecure } from './secure.ts';

export interface Emission {
  /** Lines of ftrace text, without newlines. */
  readonly lines: readonly string[];
  /** What the monitors say of the same run; it ends with the step that breaks a rule. */
  readonly violation: Violation | null;
}

/** The events that each writer tells of. */
const TOLD = {
  secure: [
    ...TDX_EVENTS.filter((name) => !/tdx_sept_link/.test(name)),
    'chg', 'init_sp', 'free_rcu', 'vm_init', 'alloc_root', 'rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu', 'kvm_entry', 'kvm_exit',
  ],
  direct: [],
} as const satisfies Record<string, readonly EventName[]>;

/** Subscribes to what the events tell of. */
export type Writer = (vm: Vm, log: TraceLog, places: Places) => void;

/** Runs `history` and writes it down. */
export function emit(options: EngineOptions, history: History): Emission {
  const engine = new Engine({ ...options, kind: history.vm });
  const { vm } = engine;
  const log = new TraceLog(vm.m);
  const places = new Places(vm.tdx.platform.indexBits);
  const write: Writer = history.vm === 'vm' ? writeDirect : writeSecure;
  write(vm, log, places);
  const violation = engine.run(history, log);
  return { lines: [`${DECLARES} ${TOLD[history.vm === 'vm' ? 'direct' : 'secure'].join(' ')}`, ...log.lines], violation };
}
