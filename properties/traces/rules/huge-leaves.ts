/** Huge leaves that may turn out to be wrong later in the trace. */
import type { Task } from '../state/task.ts';

export interface Suspect {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly seen: string;
}
