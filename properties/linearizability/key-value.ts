/**
 * A store of texts by key: get, put, append. An example of a specification with partitions:
 * operations on different keys do not interact.
 */
import type { Specification, Timed } from './specification.ts';

/** An operation of a client. A key without a put holds the empty text. */
export interface KeyValueOp extends Timed {
  readonly kind: 'get' | 'put' | 'append';
  readonly key: string;
  /** The text that is put or appended; for a get its answer, absent if it never returned. */
  readonly value?: string;
}

/** The state is the text of the partition's key. */
export const KEY_VALUE: Specification<string, KeyValueOp> = {
  initial: '',
  partition: ({ key }) => key,
  silent: ({ kind }) => kind === 'get',
  step(state, { kind, value }, allow) {
    if (kind === 'put') allow(value ?? '');
    else if (kind === 'append') allow(state + (value ?? ''));
    else if (value === undefined || value === state) allow(state);
  },
  refusal: (state, { key, value }) =>
    `"${key}" holds "${state}", so a get cannot answer "${value ?? ''}"`,
};

/** For instance `get "4": "ab"`. */
export function describe({ kind, key, value }: KeyValueOp): string {
  if (kind === 'get') return `get "${key}": ${value === undefined ? 'no answer' : `"${value}"`}`;
  return `${kind} "${key}" "${value ?? ''}"`;
}
