/**
 * The text formats of porcupine's example histories, so that both checkers can judge the same
 * files: Jepsen's log of an etcd register, and a key-value history with one record a line. The time
 * of an event is its line number.
 */
import { InputError } from '../files/input.ts';
import { textLines } from '../files/lines.ts';
import type { KeyValueOp } from './key-value.ts';
import type { RegisterOp } from './register.ts';
import type { Timed } from './specification.ts';

/**
 * The part of an operation in one line: its process, whether it began or ended, and its known
 * fields.
 */
interface Event<Op> {
  readonly process: string;
  readonly begins: boolean;
  readonly op: Untimed<Op>;
}

/** An operation without its times; of a union, each member without them. */
type Untimed<Op> = (Op extends Timed ? Omit<Op, keyof Timed> : never) & { readonly kind: string };

/** A kind of line: its pattern, and the meaning of the groups. */
type Form<Op> = readonly [RegExp, (...groups: string[]) => Event<Op>];

const JEPSEN = String.raw`^INFO\s+jepsen\.util\s+-\s+(\d+)\s+`;
const jepsen = (rest: string): RegExp => new RegExp(`${JEPSEN}${rest}\\s*$`);
const contentOf = (text: string): number | null => (text === 'nil' ? null : Number(text));

const REGISTER_FORMS: readonly Form<RegisterOp>[] = [
  [
    jepsen(String.raw`:invoke\s+:read\s+nil`),
    (process = '') => ({ process, begins: true, op: { kind: 'read' } }),
  ],
  [
    jepsen(String.raw`:invoke\s+:write\s+(\d+)`),
    (process = '', value = '') => ({
      process,
      begins: true,
      op: { kind: 'write', value: Number(value) },
    }),
  ],
  [
    jepsen(String.raw`:invoke\s+:cas\s+\[(\d+)\s+(\d+)\]`),
    (process = '', from = '', to = '') => ({
      process,
      begins: true,
      op: { kind: 'cas', from: Number(from), to: Number(to) },
    }),
  ],
  [
    jepsen(String.raw`:ok\s+:read\s+(nil|\d+)`),
    (process = '', value = '') => ({
      process,
      begins: false,
      op: { kind: 'read', value: contentOf(value) },
    }),
  ],
  [
    jepsen(String.raw`:ok\s+:write\s+(\d+)`),
    (process = '', value = '') => ({
      process,
      begins: false,
      op: { kind: 'write', value: Number(value) },
    }),
  ],
  [
    jepsen(String.raw`:(ok|fail)\s+:cas\s+\[(\d+)\s+(\d+)\]`),
    (process = '', how = '', from = '', to = '') => ({
      process,
      begins: false,
      op: { kind: 'cas', from: Number(from), to: Number(to), ok: how === 'ok' },
    }),
  ],
  // a read changes nothing, whatever its answer
  [
    jepsen(String.raw`:fail\s+:read\s+:timed-out`),
    (process = '') => ({ process, begins: false, op: { kind: 'read' } }),
  ],
];

const record = (type: string, f: string, value: string): RegExp =>
  new RegExp(`^\\{:process (\\d+), :type :${type}, :f :${f}, :key "(.*)", :value ${value}\\}\\s*$`);

const KEY_VALUE_FORMS: readonly Form<KeyValueOp>[] = [
  [
    record('invoke', 'get', 'nil'),
    (process = '', key = '') => ({ process, begins: true, op: { kind: 'get', key } }),
  ],
  [
    record('ok', 'get', '"(.*)"'),
    (process = '', key = '', value = '') => ({
      process,
      begins: false,
      op: { kind: 'get', key, value },
    }),
  ],
  ...(['put', 'append'] as const).flatMap((kind) =>
    (['invoke', 'ok'] as const).map((type): Form<KeyValueOp> => [
      record(type, kind, '"(.*)"'),
      (process = '', key = '', value = '') => ({
        process,
        begins: type === 'invoke',
        op: { kind, key, value },
      }),
    ]),
  ),
];

/** Skips lines without an operation, of which Jepsen's logs have many. */
export const readRegisterLog = (file: string): Promise<RegisterOp[]> =>
  read(file, REGISTER_FORMS, true);
/** Requires an operation in every line that is not blank. */
export const readKeyValueHistory = (file: string): Promise<KeyValueOp[]> =>
  read(file, KEY_VALUE_FORMS, false);

async function read<Op extends Timed>(
  file: string,
  forms: readonly Form<Op>[],
  skips: boolean,
): Promise<Op[]> {
  const ops: Op[] = [];
  const open = new Map<string, { readonly event: Event<Op>; readonly invoked: number }>();
  let line = 0;
  for await (const text of textLines(file)) {
    line++;
    const event = eventOf(text, forms);
    const where = `${file}:${line}`;
    if (event === null) {
      if (skips || text.trim() === '') continue;
      throw new InputError(
        where,
        'not an operation',
        'give one record a line, as porcupine writes them',
      );
    }
    const begun = open.get(event.process);
    if (event.begins) {
      if (begun !== undefined) {
        throw new InputError(
          where,
          `process ${event.process} has not returned yet`,
          'give each client a process',
        );
      }
      open.set(event.process, { event, invoked: line });
    } else {
      if (begun === undefined || !answers(event, begun.event)) {
        throw new InputError(
          where,
          `process ${event.process} has not begun this`,
          'give the history from its start',
        );
      }
      open.delete(event.process);
      ops.push(timed(event.op, begun.invoked, line));
    }
  }
  for (const { event, invoked } of open.values()) ops.push(timed(event.op, invoked, Infinity));
  if (ops.length === 0)
    throw new InputError(file, 'holds no operation', 'check that --model fits the file');
  return ops;
}

/** Whether an end belongs to a beginning: the same kind, the same arguments. */
const answers = <Op>({ op: end }: Event<Op>, { op: begun }: Event<Op>): boolean =>
  Object.entries(begun).every(([name, value]) =>
    Object.entries(end).some(([other, its]) => other === name && its === value),
  );

/** An operation made of its fields and its times. */
const timed = <Op extends Timed>(op: Untimed<Op>, invoked: number, returned: number): Op =>
  ({ ...op, invoked, returned }) as unknown as Op; // these two are what Untimed omits

function eventOf<Op>(text: string, forms: readonly Form<Op>[]): Event<Op> | null {
  for (const [form, meaning] of forms) {
    const match = form.exec(text);
    if (match !== null) return meaning(...match.slice(1));
  }
  return null;
}
