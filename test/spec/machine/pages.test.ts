/** The page allocator: generations, stale references, leaks. */
import { describe, expect, test } from 'vitest';
import { DOUBLE_FREE, LEAK, USE_AFTER_FREE } from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';
import {
  generationOf,
  NO_PAGE,
  pageNumberOf,
  Pages,
  type PageRef,
} from '../../../spec/machine/pages.ts';
import {
  access,
  atomically,
  READ,
  WRITE,
  type Access,
  type Steps,
} from '../../../spec/machine/step.ts';
import { runActors, runAllSchedules, Scripted, tally } from './support.ts';

const TABLE = 0;
const GUEST = 1;

function setUp(reuseLast = false) {
  const m = new Machine();
  const memory = new Memory(m, 100, 4);
  const pages = new Pages(memory, 10, 3, { kinds: ['table', 'guest'], reuseLast });
  const word = m.segment('word', 1);
  m.seal();
  return { m, memory, pages, word };
}

const numbers = (refs: PageRef[]): number[] => refs.map(pageNumberOf);

describe('the allocator', () => {
  test('the allocator returns the lowest free page', () => {
    const { pages } = setUp();
    const [a, b, c] = [pages.allocNow(TABLE), pages.allocNow(TABLE), pages.allocNow(GUEST)];
    expect(numbers([a, b, c])).toEqual([10, 11, 12]);
    expect(pages.allocNow(TABLE)).toBe(NO_PAGE);
    atomically(pages.free(c));
    atomically(pages.free(a));
    expect(numbers([pages.allocNow(TABLE), pages.allocNow(TABLE)])).toEqual([10, 12]);
  });

  test('the allocator with reuseLast returns the page that was freed last', () => {
    const { pages } = setUp(true);
    const [a, b] = [pages.allocNow(TABLE), pages.allocNow(TABLE)];
    atomically(pages.free(a));
    atomically(pages.free(b));
    expect(numbers([pages.allocNow(TABLE), pages.allocNow(TABLE), pages.allocNow(TABLE)])).toEqual([
      11, 10, 12,
    ]);
    expect(pages.allocNow(TABLE)).toBe(NO_PAGE);
  });

  test('an allocated page is zeroed, and has a kind, an owner and a new generation', () => {
    const { m, pages } = setUp();
    const first = pages.allocNow(TABLE, 7);
    expect([pages.kindOf(10), pages.ownerOf(10), generationOf(first)]).toEqual([TABLE, 7, 1]);
    pages.setOwner(10, 8);
    expect(pages.ownerOf(10)).toBe(8);
    atomically(pages.writeAt(first, 3, 33));
    atomically(pages.free(first));
    const second = pages.allocNow(GUEST);
    expect([pages.kindOf(10), pages.ownerOf(10), generationOf(second)]).toEqual([GUEST, 0, 3]);
    expect(atomically(pages.readAt(second, 3))).toBe(0);
    expect([pages.isLive(first), pages.isLive(second), pages.refTo(10) === second]).toEqual([
      false,
      true,
      true,
    ]);
    expect(m.violation).toBeNull();
  });

  test('an allocation fails by choice only with mayFail', () => {
    const { m, pages } = setUp();
    const got: PageRef[] = [];
    const actors = {
      *a() {
        got.push(yield* pages.alloc(TABLE));
      },
    };
    const script = new Scripted(1);
    runActors(m, actors, script);
    expect([numbers(got), script.asked.length]).toEqual([[10], 0]);
    pages.mayFail = true;
    runActors(m, actors, new Scripted(1));
    runActors(m, actors, new Scripted(0));
    expect(got.slice(1)).toEqual([NO_PAGE, got[0]]);
  });

  test('no page is allocated twice, under any choices', () => {
    const { m, pages } = setUp(true);
    const uses = function* () {
      const ref = yield* pages.alloc(TABLE);
      if (ref === NO_PAGE) return;
      yield* pages.writeAt(ref, 0, m.current + 1);
      expect(yield* pages.readAt(ref, 0)).toBe(m.current + 1);
      yield* pages.free(ref);
    };
    expect(tally(m, { a: uses, b: uses, c: uses, d: uses })).toEqual({ finished: 200 });
    expect(m.peek(pages.cell)).toBe(0);
  });

  test('a page is not reused between the two steps of its free', () => {
    const { m, pages } = setUp();
    const refs = [pages.allocNow(TABLE), pages.allocNow(TABLE), pages.allocNow(TABLE)];
    m.seal();
    const got = new Set<PageRef>();
    runAllSchedules(
      m,
      {
        *a() {
          yield* pages.free(refs[1] ?? NO_PAGE);
        },
        *b() {
          const ref = yield* pages.alloc(TABLE);
          expect(ref === NO_PAGE).toBe(m.actors[0]?.done === false);
          got.add(ref);
        },
      },
      (ending) => expect(ending).toBe('finished'),
    );
    expect(
      [...got].map((ref) => (ref === NO_PAGE ? 'none' : pageNumberOf(ref))).toSorted(),
    ).toEqual([11, 'none']);
  });

  test('the allocator refuses page numbers that a reference cannot hold', () => {
    const { memory } = setUp();
    expect(() => new Pages(memory, 4_090, 7, { kinds: [] })).toThrow('do not fit');
  });

  test("the allocator's cells have names", () => {
    const { m, pages } = setUp();
    expect([0, 1].map((i) => m.nameOf(pages.cell + i))).toEqual([
      'page allocator',
      'page allocator.frees',
    ]);
    expect(m.nameOf(pages.cell + 2 + 4 + 2)).toBe('page 11.owner');
  });
});

describe('a reference to a page', () => {
  const uses: Record<string, (pages: Pages, ref: PageRef) => Steps<unknown>> = {
    'a read': (pages, ref) => pages.readAt(ref, 1),
    'a write': (pages, ref) => pages.writeAt(ref, 1, 5),
    'a compare-and-exchange': (pages, ref) => pages.cmpxchgAt(ref, 1, 0, 5),
    'an exchange': (pages, ref) => pages.xchgAt(ref, 1, 5),
  };

  test.each(Object.entries(uses))(
    'a reference is good for %s while the page is allocated',
    (_name, use) => {
      const { m, pages } = setUp();
      const ref = pages.allocNow(TABLE);
      atomically(use(pages, ref));
      expect(m.violation).toBeNull();
    },
  );

  test.each(Object.entries(uses))(
    '%s through a reference to a freed page is reported, also when the page is reused',
    (_n, use) => {
      const { m, pages } = setUp();
      const ref = pages.allocNow(TABLE);
      atomically(pages.free(ref));
      m.seal();
      const stale = {
        *a() {
          yield* use(pages, ref);
        },
      };
      runActors(m, stale);
      expect(m.violation).toMatchObject({
        rule: USE_AFTER_FREE.id,
        actor: 0,
        expected: 'page 10 accessed in generation 1',
        seen: 'free, generation 2',
      });
      pages.allocNow(GUEST);
      m.seal();
      runActors(m, stale);
      expect(m.violation?.seen).toBe('guest page, generation 3');
    },
  );

  test('a reference is checked at the access, not at its announcement', () => {
    const { m, pages, word } = setUp();
    const ref = pages.allocNow(TABLE);
    m.seal();
    const outcomes: Record<string, number> = {};
    const runs = runAllSchedules(
      m,
      {
        *walker() {
          yield* pages.readAt(ref, 2);
        },
        *freer() {
          yield* m.read(word);
          yield* pages.free(ref);
        },
      },
      (ending) => {
        const key = m.violation?.rule ?? ending;
        outcomes[key] = (outcomes[key] ?? 0) + 1;
      },
    );
    expect({ runs, outcomes }).toEqual({
      runs: 4,
      outcomes: { finished: 2, [USE_AFTER_FREE.id]: 2 },
    });
  });

  test('a reference to a free page is never good', () => {
    const { m, pages } = setUp();
    const dangling = pages.refTo(10);
    pages.allocNow(TABLE);
    m.seal();
    runActors(m, {
      *a() {
        yield* pages.readAt(dangling, 0);
      },
    });
    expect(m.violation).toMatchObject({
      rule: USE_AFTER_FREE.id,
      expected: 'page 10 accessed in generation 0 (free)',
      seen: 'table page, generation 1',
    });
  });

  test('a second free through the same reference is reported', () => {
    const { m, pages } = setUp();
    const ref = pages.allocNow(TABLE);
    m.seal();
    runActors(m, {
      *a() {
        yield* pages.free(ref);
        yield* pages.free(ref);
      },
    });
    expect(m.violation).toMatchObject({
      rule: DOUBLE_FREE.id,
      expected: 'page 10 freed in generation 1',
      seen: 'free, generation 2',
    });
  });

  test('two actors that free one page cause a double free in every schedule', () => {
    const { m, pages } = setUp();
    const ref = pages.allocNow(TABLE);
    m.seal();
    const frees = function* () {
      yield* pages.free(ref);
    };
    runAllSchedules(m, { a: frees, b: frees }, () =>
      expect(m.violation?.rule).toBe(DOUBLE_FREE.id),
    );
  });

  test('an access does not commute with the free of its page', () => {
    const { m, pages } = setUp();
    const [ref, other] = [pages.allocNow(TABLE), pages.allocNow(TABLE)];
    const freeing = pages.free(ref).next().value as Access; // freeing has a step
    expect(m.independent(freeing, access(pages.word(ref, 3), READ))).toBe(false);
    expect(m.independent(freeing, access(pages.word(other, 3), WRITE))).toBe(true);
  });
});

describe('pages that were not freed', () => {
  test('pages that are still allocated are listed, and reported as leaks', () => {
    const { m, pages } = setUp();
    const [a, b] = [pages.allocNow(TABLE), pages.allocNow(GUEST)];
    expect(pages.leaks()).toEqual([10, 11]);
    pages.reportLeaks();
    expect(m.violation).toMatchObject({
      rule: LEAK.id,
      expected: 'every page has been freed',
      seen: 'page 10 (table page, generation 1), page 11 (guest page, generation 1)',
    });
    m.violation = null;
    atomically(pages.free(a));
    atomically(pages.free(b));
    pages.reportLeaks();
    expect([pages.leaks(), m.violation]).toEqual([[], null]);
  });
});
