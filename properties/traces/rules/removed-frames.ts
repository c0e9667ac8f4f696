/** Frames of private pages that TDH.MEM.PAGE.REMOVE removes: K51 and K54. */
import type { CallName } from '../reader/event-table.ts';
import type { TracedCall } from '../tdx/call.ts';
import { framesOf } from '../tdx/effects.ts';

export const PAGE_REMOVE: CallName = 'tdh_mem_page_remove';

/** Frames that a call has removed, or that it failed to remove. */
export function* removedFrames({ before, level }: TracedCall): Iterable<number> {
  if (before !== null && before.frame >= 0) yield* framesOf(before.frame, level);
}

/** Text of a violation by which the host uses a frame too early. */
export const hostUses = (frame: number, why: string): string =>
  `the host uses page 0x${frame.toString(16)}, ${why}`;
