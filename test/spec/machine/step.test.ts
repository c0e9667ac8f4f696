/** Steps: how accesses are announced, and atomic runs. */
import { describe, expect, test } from 'vitest';
import { ORDINARY } from '../../../spec/machine/choices.ts';
import {
  access,
  ACQUIRE,
  atomically,
  cellOf,
  independent,
  KIND_NAMES,
  kindOf,
  PAUSE,
  READ,
  RELEASE,
  RMW,
  TRY,
  WAIT,
  WRITE,
  type Steps,
} from '../../../spec/machine/step.ts';

const KINDS = [READ, WRITE, RMW, TRY, ACQUIRE, RELEASE, WAIT, PAUSE] as const;

describe('an announced step', () => {
  test('an access packs a cell and a kind, and both can be unpacked', () => {
    for (const kind of KINDS) {
      for (const cell of [0, 1, 63, 1 << 20, (1 << 28) - 1]) {
        expect([cellOf(access(cell, kind)), kindOf(access(cell, kind))]).toEqual([cell, kind]);
      }
    }
  });

  test('every kind of access has a name', () => {
    expect(KINDS.map((kind) => KIND_NAMES[kind])).toEqual([
      'read',
      'write',
      'rmw',
      'try',
      'acquire',
      'release',
      'wait',
      'pause',
    ]);
  });

  test('two accesses commute unless both are of one cell and one changes it', () => {
    for (const a of KINDS) {
      for (const b of KINDS) {
        expect(independent(access(1, a), access(2, b))).toBe(true);
        expect(independent(access(1, a), access(1, b))).toBe(a === READ && b === READ);
      }
    }
  });
});

describe('an atomic run', () => {
  test('atomically() performs all steps and returns their result', () => {
    const done: number[] = [];
    function* count(): Steps<string> {
      for (let i = 0; i < 3; i++) {
        yield access(i, READ);
        done.push(i);
      }
      return 'the end';
    }
    expect(atomically(count())).toBe('the end');
    expect(done).toEqual([0, 1, 2]);
  });
});

describe('the ordinary choices', () => {
  test('the ordinary choices always take option 0', () => {
    expect(ORDINARY.pick(5, 1, 2, 0)).toBe(0);
  });
});
