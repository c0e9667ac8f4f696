/** What the two calls of a pair did, and whether an order of them explains it. */
import type { Call } from '../../../../spec/tdx/call.ts';
import type { TdxModule } from '../../../../spec/tdx/module.ts';

/** Statuses; outputs and final state, which are empty if the recorder did not compare them. */
export interface Ran {
  readonly xStatus: string;
  readonly yStatus: string;
  readonly xOutputs: string;
  readonly yOutputs: string;
  readonly state: string;
}

export const NOT_COMPARED = { xOutputs: '', yOutputs: '', state: '' } as const;

/** The outputs of a call, as text. */
export function outputsOf(tdx: TdxModule, call: Call | null): string {
  if (call === null) return '';
  const { rcx, rcxEntry, rdx, r8, r9, r10, r11, data, exitReason, interrupted, tdr } = call;
  const first = rcxEntry === null ? rcx : tdx.reportedEntry(rcxEntry, tdr);
  return [first, rdx, r8, r9, r10, r11, data, exitReason, interrupted].join();
}

/** The calls in each order, and alone. */
export interface Orders {
  readonly x: Ran;
  readonly y: Ran;
  readonly xy: Ran;
  readonly yx: Ran;
}

/** X;Y or Y;X gives the same, where a call that is BUSY did nothing. */
export const isExplained = (ran: Ran, orders: Orders, busy: { x: boolean; y: boolean }): boolean =>
  (agrees(ran, orders.xy, 'x') && agrees(ran, orders.xy, 'y') && ran.state === orders.xy.state) ||
  (agrees(ran, orders.yx, 'x') && agrees(ran, orders.yx, 'y') && ran.state === orders.yx.state) ||
  (busy.y && agrees(ran, orders.x, 'x') && ran.state === orders.x.state) ||
  (busy.x && agrees(ran, orders.y, 'y') && ran.state === orders.y.state);

const agrees = (ran: Ran, order: Ran, which: 'x' | 'y'): boolean =>
  ran[`${which}Status`] === order[`${which}Status`] &&
  ran[`${which}Outputs`] === order[`${which}Outputs`];
