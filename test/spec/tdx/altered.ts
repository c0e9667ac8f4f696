/**
 * Functions of the module with one thing changed: run on a view of the module or of its machine in
 * which one part behaves otherwise, or with another status.
 */
import type { Machine } from '../../../spec/machine/machine.ts';
import type { Steps } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import type { InterfaceFunction, TdxModule } from '../../../spec/tdx/module.ts';
import type * as S from '../../../spec/tdx/status.ts';

type View = (tdx: TdxModule, call: Call) => Partial<TdxModule>;

/** `whole` with some parts replaced; the rest is shared with it. */
export const withParts = <T extends object>(whole: T, parts: Partial<T>): T =>
  Object.assign(Object.create(whole) as T, parts); // an object that inherits all of `whole`

/** The function, run on a view of the module. */
export const through = (fn: InterfaceFunction, view: View): InterfaceFunction => ({
  ...fn,
  run: (tdx, call) => fn.run(withParts(tdx, view(tdx, call)), call),
});

/** The function, run on a view of the machine alone. */
export const onMachine = (
  fn: InterfaceFunction,
  view: (m: Machine, tdx: TdxModule, call: Call) => Partial<Machine>,
) => through(fn, (tdx, call) => ({ m: withParts(tdx.m, view(tdx.m, tdx, call)) }));

/** The function, with its status changed. */
export const answering = (
  fn: InterfaceFunction,
  change: (status: S.Status, call: Call, tdx: TdxModule) => S.Status,
) => ({
  ...fn,
  *run(tdx: TdxModule, call: Call): Steps<S.Status> {
    return change(yield* fn.run(tdx, call), call, tdx);
  },
});
