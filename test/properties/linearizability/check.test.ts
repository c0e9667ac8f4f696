/**
 * The checker of linearizability, compared with an exhaustive one on small histories; and its
 * explanations.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  check,
  KEY_VALUE,
  REGISTER,
  type RegisterOp,
  type Specification,
  type Timed,
} from '../../../properties/linearizability/index.ts';
import { keyValueHistory, registerHistory } from '../../bench/histories.ts';

/** Every order that respects time, one after the other: slow, and simple enough to trust. */
function explains<State, Op extends Timed>(
  spec: Specification<State, Op>,
  state: State,
  ops: readonly Op[],
): boolean {
  if (ops.every(({ returned }) => returned === Infinity) && (spec.final?.(state) ?? null) === null)
    return true;
  const first = Math.min(...ops.map(({ returned }) => returned));
  return ops.some((op) => {
    if (op.invoked > first) return false;
    const rest = ops.filter((other) => other !== op);
    let found = false;
    spec.step(state, op, (next) => {
      found ||= explains(spec, next, rest);
    });
    return found;
  });
}

const time = fc
  .tuple(fc.nat(12), fc.oneof({ arbitrary: fc.nat(6), weight: 4 }, fc.constant(Infinity)))
  .map(([invoked, length]) => ({ invoked, returned: invoked + length }));
const small = fc.nat(2);
const op: fc.Arbitrary<RegisterOp> = fc.oneof(
  fc.tuple(time, fc.option(small)).map(([t, value]) => ({ ...t, kind: 'read' as const, value })),
  fc.tuple(time, small).map(([t, value]) => ({ ...t, kind: 'write' as const, value })),
  fc
    .tuple(time, small, small, fc.boolean())
    .map(([t, from, to, ok]) =>
      t.returned === Infinity
        ? { ...t, kind: 'cas' as const, from, to }
        : { ...t, kind: 'cas' as const, from, to, ok },
    ),
);

/**
 * A register that may forget a write, so an operation has several next states; it must not end
 * empty.
 */
const FORGETFUL: Specification<number | null, RegisterOp> = {
  ...REGISTER,
  step(state, o, allow) {
    if (o.kind === 'write') allow(state);
    REGISTER.step(state, o, allow);
  },
  final: (state) => (state === null ? 'the register is empty' : null),
};

test.each([
  ['a register', REGISTER],
  ['several next states and a final state', FORGETFUL],
])('the checker agrees with an exhaustive one on small histories: %s', (_what, spec) => {
  const seen = { explained: 0, unexplained: 0, unknown: 0 };
  fc.assert(
    fc.property(fc.array(op, { maxLength: 7 }), (ops) => {
      const outcome = check(spec, ops);
      seen[outcome.verdict]++;
      expect(outcome.verdict === 'explained').toBe(explains(spec, spec.initial, ops));
      if (outcome.verdict !== 'unexplained' || outcome.failure.op === null) return;
      // the prefix is the shortest that shows it: without the return at its end an order exists
      const { op: last, prefix } = outcome.failure;
      const free: Specification<number | null, RegisterOp> = { ...spec, final: () => null };
      const upTo = (until: number): RegisterOp[] =>
        prefix.map((o) => (o.returned > until ? { ...o, returned: Infinity } : o));
      expect(explains(free, spec.initial, upTo(last.returned))).toBe(false);
      expect(explains(free, spec.initial, upTo(last.returned - 0.5))).toBe(true);
    }),
    { seed: 7, numRuns: 3000 },
  );
  expect(Math.min(seen.explained, seen.unexplained)).toBeGreaterThan(300);
  expect(seen.unknown).toBe(0);
});

test('the specification allows the order that the checker returns', () => {
  const outcome = check(REGISTER, registerHistory(1));
  const order = outcome.verdict === 'explained' ? outcome.order : [];
  let state = REGISTER.initial;
  for (const o of order) {
    let next: number | null | undefined;
    REGISTER.step(state, o, (s) => {
      next = s;
    });
    expect(next).not.toBe(undefined);
    state = next ?? null;
  }
  expect(order.length).toBeGreaterThan(50);
});

describe('long histories', () => {
  test('the checker explains long histories, and none with one answer changed', () => {
    for (let seed = 0; seed < 20; seed++) {
      const good = registerHistory(seed);
      const at = good.findIndex((o) => o.kind === 'read');
      const bad = good.map((o, i) => (i === at ? ({ ...o, value: 9 } as RegisterOp) : o));
      expect([check(REGISTER, good).verdict, check(REGISTER, bad).verdict]).toEqual([
        'explained',
        'unexplained',
      ]);
    }
    const store = keyValueHistory(5, 10, 337);
    const at = store.findLastIndex(({ kind }) => kind === 'get');
    expect(check(KEY_VALUE, store).verdict).toBe('explained');
    expect(
      check(
        KEY_VALUE,
        store.map((o, i) => (i === at ? { ...o, value: 'else' } : o)),
      ).verdict,
    ).toBe('unexplained');
  });

  test('the checker answers unknown beyond its limits', () => {
    const store = keyValueHistory(5, 10, 337);
    expect(check(KEY_VALUE, store, { steps: 20, memory: 1e6 })).toEqual({
      verdict: 'unknown',
      why: 'not decided in 20 steps',
    });
    expect(check(KEY_VALUE, store, { steps: 1e6, memory: 3 })).toEqual({
      verdict: 'unknown',
      why: 'not decided with 3 configurations in memory',
    });
  });
});

test('an unexplained history comes with the operation, the reasons and the shortest prefix', () => {
  const ops: RegisterOp[] = [
    { kind: 'write', value: 1, invoked: 0, returned: 1 },
    { kind: 'read', value: 2, invoked: 2, returned: 5 },
    { kind: 'write', value: 3, invoked: 3, returned: 8 },
    { kind: 'write', value: 2, invoked: 6, returned: 7 },
  ];
  expect(check(REGISTER, ops)).toEqual({
    verdict: 'unexplained',
    failure: {
      op: ops[1],
      refusals: [
        'the register holds 3, so a read cannot answer 2',
        'the register holds 1, so a read cannot answer 2',
      ],
      prefix: ops.slice(0, 3),
    },
  });
});
