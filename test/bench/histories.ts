/**
 * Generates histories of a register and of a key-value store, of the sizes that porcupine was
 * measured on: about eighty operations of five clients with timeouts, and up to two thousand
 * operations of fifty clients on ten keys. Clients take turns at random; an operation takes effect
 * between its call and its return.
 */
import type { KeyValueOp } from '../../properties/linearizability/key-value.ts';
import type { Content, RegisterOp } from '../../properties/linearizability/register.ts';
import type { Timed } from '../../properties/linearizability/specification.ts';
import { Rng, withRng } from '../../properties/module/recordings/generate/rng.ts';

type Untimed<Op> = Op extends Timed ? Omit<Op, keyof Timed> : never;

/** Percentage of steps that the client of the previous step makes. */
const STAYS = 80;

/** The state of a client. */
interface Client<Op> {
  op: Untimed<Op> | null;
  invoked: number;
  /** The operation has taken effect. */
  done: boolean;
}

interface Recipe<Op> {
  readonly clients: number;
  readonly operations: number;
  /** Percentage of operations that never return. */
  readonly lost: number;
  draw(rng: Rng, client: number, nth: number): Untimed<Op>;
  /** Performs an operation. Returns it with its answer. */
  perform(op: Untimed<Op>): Untimed<Op>;
}

function history<Op extends Timed>(
  rng: Rng,
  { clients, operations, lost, draw, perform }: Recipe<Op>,
): Op[] {
  const all = Array.from({ length: clients }, (): Client<Op> => ({
    op: null,
    invoked: 0,
    done: false,
  }));
  const ops: Op[] = [];
  const end = (client: Client<Op>, returned: number): void => {
    // the times that Untimed removed are back
    ops.push({ ...client.op, invoked: client.invoked, returned } as unknown as Op);
    client.op = null;
  };
  let drawn = 0;
  let index = 0;
  for (let now = 1; drawn < operations || all.some(({ op }) => op !== null); now++) {
    if (!rng.percent(STAYS) || (drawn === operations && all[index]?.op === null))
      index = rng.below(clients);
    const client = all[index] as Client<Op>; // below() stays within
    if (client.op === null) {
      if (drawn === operations) continue;
      Object.assign(client, { op: draw(rng, index, drawn++), invoked: now, done: false });
    } else if (!client.done) {
      if (rng.percent(lost)) {
        if (rng.percent(50)) perform(client.op);
        end(client, Infinity);
      } else Object.assign(client, { op: perform(client.op), done: true });
    } else end(client, now);
  }
  return ops;
}

/** A history like a log of Jepsen: reads, writes and compare-and-sets of 0 to 4 by five clients. */
export const registerHistory = (seed: number): RegisterOp[] =>
  withRng(seed, (rng) => {
    let state: Content = null;
    return history<RegisterOp>(rng, {
      clients: 5,
      operations: 73 + rng.below(18),
      lost: 15,
      draw: (d) =>
        d.pick<Untimed<RegisterOp>>([
          { kind: 'read' },
          { kind: 'write', value: d.below(5) },
          { kind: 'cas', from: d.below(5), to: d.below(5) },
        ]),
      perform(op) {
        if (op.kind === 'read') return { ...op, value: state };
        if (op.kind === 'write') state = op.value;
        else if (op.from === state) {
          state = op.to;
          return { ...op, ok: true };
        } else return { ...op, ok: false };
        return op;
      },
    }).filter(({ kind, returned }) => kind !== 'read' || returned !== Infinity);
  });

/** A history of clients that append to ten keys, and read and replace them. */
export const keyValueHistory = (seed: number, clients: number, operations: number): KeyValueOp[] =>
  withRng(seed, (rng) => {
    const store = new Map<string, string>();
    return history<KeyValueOp>(rng, {
      clients,
      operations,
      lost: 0,
      draw(d, client, nth) {
        const key = String(d.below(10));
        const kind = d.weighted([
          [55, 'append'],
          [40, 'get'],
          [5, 'put'],
        ] as const);
        return kind === 'get' ? { kind, key } : { kind, key, value: `x ${client} ${nth} y` };
      },
      perform(op) {
        const held = store.get(op.key) ?? '';
        if (op.kind === 'get') return { ...op, value: held };
        store.set(op.key, (op.kind === 'put' ? '' : held) + (op.value ?? ''));
        return op;
      },
    });
  });
