/**
 * The calls in flight, as rules see them. They are kept beside the module's own words, so that a
 * module whose words are wrong does not mislead the rules. One observer watches a module, whatever
 * the number of rules that use it.
 */
import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import type { ModuleListener, TdxModule } from '../module.ts';
import { MODULE_HALT, type Status } from '../status.ts';

/** The calls in flight, by actor. */
export class OpenCalls implements ModuleListener {
  private readonly tdx: TdxModule;
  /** By actor; code that no actor runs (-1) comes first. */
  private readonly byActor: (Call | undefined)[] = [];
  private open = 0;
  private halted = false;

  constructor(tdx: TdxModule) {
    this.tdx = tdx;
    tdx.m.onReset(() => {
      this.byActor.length = 0;
      this.open = 0;
      this.halted = false;
    });
  }

  began(call: Call): void {
    this.open++;
    this.byActor[this.tdx.m.current + 1] = call;
  }

  ended(_call: Call, status: Status): void {
    this.open--;
    this.byActor[this.tdx.m.current + 1] = undefined;
    this.halted ||= status === MODULE_HALT;
  }

  /** No call is in flight, and no halt has left one half done. */
  get quiet(): boolean {
    return this.open === 0 && !this.halted;
  }

  /** The call of the actor that is stepping. */
  get current(): Call | undefined {
    return this.byActor[this.tdx.m.current + 1];
  }

  /** Calls of all actors whose walk has reached the entry at `cell`. */
  on(cell: Cell): Call[] {
    // filter lets no undefined pass
    return this.byActor.filter((call) => call?.entryCell === cell) as Call[];
  }
}

/** The observer of `tdx`. It hears of each call before the rule that asked for it does. */
export function openCalls(tdx: TdxModule): OpenCalls {
  const known = tdx.listeners.find((listener) => listener instanceof OpenCalls);
  if (known !== undefined) return known;
  const calls = new OpenCalls(tdx);
  tdx.listeners.push(calls);
  return calls;
}
