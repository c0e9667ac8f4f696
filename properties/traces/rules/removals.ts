/** Frames of private pages that TDH.MEM.PAGE.REMOVE removes. */
import type { CallName } from '../reader/event-table.ts';
import type { TracedCall } from '../tdx/call.ts';
import { framesOf } from '../tdx/effects.ts';

export const REMOVE: CallName = 'tdh_mem_page_remove';

/** Frames of what a call has removed, or was to remove. */
export function* removed({ before, level }: TracedCall): Iterable<number> {
  if (before !== null && before.frame >= 0) yield* framesOf(before.frame, level);
}

export const hex = (frame: number): string => `0x${frame.toString(16)}`;
