/**
 * A register that holds a number, or nothing: read, write, compare-and-set. A simple example of a
 * specification, for Jepsen's etcd logs.
 */
import type { Specification, Timed } from './specification.ts';

/** `null`: not written yet. */
export type Content = number | null;

/** An operation of a process. Its answer is absent if it never returned. */
export type RegisterOp = Timed &
  (
    | { readonly kind: 'read'; readonly value?: Content }
    | { readonly kind: 'write'; readonly value: number }
    | {
        readonly kind: 'cas';
        readonly from: number;
        readonly to: number;
        /** The register held `from`. */
        readonly ok?: boolean;
      }
  );

export const REGISTER: Specification<Content, RegisterOp> = {
  initial: null,
  silent: (op) => op.kind === 'read' || (op.kind === 'cas' && op.ok === false),
  step(state, op, allow) {
    if (op.kind === 'write') allow(op.value);
    else if (op.kind === 'read') {
      if (op.value === undefined || op.value === state) allow(state);
    } else if (op.ok === undefined || op.ok === (op.from === state))
      allow(op.from === state ? op.to : state);
  },
  refusal(state, op) {
    const holds = `the register holds ${state ?? 'nothing'}`;
    if (op.kind !== 'cas') return `${holds}, so a read cannot answer ${op.value ?? 'nothing'}`;
    const answer = op.from === state ? 'be refused' : 'be done';
    return `${holds}, so cas ${op.from} to ${op.to} cannot ${answer}`;
  },
};

/** For instance `cas 1 to 2: done`. */
export function describe(op: RegisterOp): string {
  if (op.kind === 'read')
    return `read: ${op.value === undefined ? 'no answer' : (op.value ?? 'nothing')}`;
  if (op.kind === 'write') return `write ${op.value}`;
  const answer = op.ok === undefined ? 'no answer' : op.ok ? 'done' : 'refused';
  return `cas ${op.from} to ${op.to}: ${answer}`;
}
