/** Page walkers: walks, A and D bits, stale translations. */
import { describe, expect, test } from 'vitest';
import { USE_AFTER_FREE } from '../../../spec/machine/faults.ts';
import { Geometry } from '../../../spec/machine/geometry.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';
import { atomically, KIND_NAMES, kindOf, cellOf } from '../../../spec/machine/step.ts';
import { EXECUTE_ACCESS, READ_ACCESS, Tlb, WRITE_ACCESS } from '../../../spec/machine/tlb.ts';
import { requestAllAndWait, Vcpu } from '../../../spec/machine/vcpu.ts';
import {
  ABSENT,
  FORBIDDEN,
  MISCONFIGURED,
  TRANSLATED,
  WALK_ENDS,
  Walker,
  type TableFormat,
  type WalkEnd,
} from '../../../spec/machine/walker.ts';
import {
  entry,
  isLeaf,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  permissionsOf,
} from '../../../spec/tdx/entry.ts';
import { runActors, runAllSchedules } from './support.ts';
import {
  ACCESSED,
  brokenEntry,
  DIRTY,
  leafEntry,
  tableEntry,
  TABLE_PAGE,
  tables,
} from './tables.ts';

const RW = READ_ACCESS | WRITE_ACCESS;

function setUp(marks = false) {
  const m = new Machine();
  const set = tables(m, marks);
  const translate = (gfn: number, wanted = READ_ACCESS): WalkEnd =>
    atomically(set.walker.translate(set.root, gfn, wanted));
  /** The steps of a translation, as `read page 0 word 0`. */
  const stepsOf = (gfn: number, wanted = READ_ACCESS): string[] => {
    const steps = set.walker.translate(set.root, gfn, wanted);
    const seen: string[] = [];
    for (let next = steps.next(); next.done !== true; next = steps.next()) {
      seen.push(`${KIND_NAMES[kindOf(next.value)]} ${m.nameOf(cellOf(next.value))}`);
    }
    return seen;
  };
  return { m, ...set, translate, stepsOf };
}

describe('a page walk', () => {
  test('a walk looks up the TLB, then reads an entry per level, each in one step', () => {
    const { walker, page, stepsOf } = setUp();
    expect(stepsOf(0)).toEqual([
      'read tlb',
      'read page 0 word 0',
      'read page 1 word 0',
      'read page 2 word 0',
    ]);
    expect([walker.page, walker.level, walker.offset, walker.hit]).toEqual([page, 0, 0, false]);
  });

  test('a cached translation takes one step', () => {
    const { walker, page, stepsOf } = setUp();
    stepsOf(0);
    expect(stepsOf(0)).toEqual(['read tlb']);
    expect([walker.page, walker.hit]).toEqual([page, true]);
  });

  test('a walk starts from the deepest paging-structure entry that covers the GFN', () => {
    const { m, stepsOf, translate } = setUp();
    translate(0);
    m.seal();
    expect(stepsOf(1)).toEqual(['read tlb', 'read page 2 word 1']);
    m.reset();
    expect(stepsOf(4)).toEqual(['read tlb', 'read page 1 word 1']);
    m.reset();
    expect(stepsOf(16)).toEqual(['read tlb', 'read page 0 word 1']);
  });

  test('a walk ends at a leaf of any level, and computes the page within it', () => {
    const { m, pages, middle, walker, page, translate } = setUp();
    m.poke(pages.word(middle, 1), leafEntry(page));
    expect(translate(6)).toBe(TRANSLATED);
    expect([walker.page, walker.level, walker.offset]).toEqual([page, 1, 2]);
    expect(translate(7)).toBe(TRANSLATED);
    expect([walker.hit, walker.offset]).toEqual([true, 3]);
  });

  test('a walk stops at the level of an absent, misconfigured or forbidden entry', () => {
    const { m, pages, root, middle, last, page, walker, translate } = setUp();
    m.poke(pages.word(middle, 1), brokenEntry(page));
    m.poke(pages.word(last, 1), leafEntry(page, READ_ACCESS));
    m.poke(pages.word(root, 2), tableEntry(middle, READ_ACCESS));
    const ends = ([gfn, wanted]: [number, number]) => [
      WALK_ENDS[translate(gfn, wanted)],
      walker.level,
      walker.page,
    ];
    expect(
      (
        [
          [16, READ_ACCESS],
          [2, READ_ACCESS],
          [4, READ_ACCESS],
          [1, WRITE_ACCESS],
        ] as [number, number][]
      ).map(ends),
    ).toEqual([
      ['absent', 2, -1],
      ['absent', 0, -1],
      ['misconfigured', 1, -1],
      ['forbidden', 0, -1],
    ]);
    expect([ABSENT, MISCONFIGURED].map((end) => WALK_ENDS[end])).toEqual([
      'absent',
      'misconfigured',
    ]);
  });

  test('a walk grants what every level permits, also when it starts below the root', () => {
    const { m, pages, root, middle, translate } = setUp();
    m.poke(pages.word(root, 0), tableEntry(middle, READ_ACCESS | EXECUTE_ACCESS));
    expect(translate(0, EXECUTE_ACCESS)).toBe(TRANSLATED);
    expect(translate(0, RW)).toBe(FORBIDDEN);
    translate(0, READ_ACCESS);
    m.poke(pages.word(2, 1), leafEntry(pages.refTo(3)));
    expect(translate(1, WRITE_ACCESS)).toBe(FORBIDDEN);
  });

  test('a walk that faults drops what is cached for the GFN', () => {
    const { m, tlb, entries, page, root, translate } = setUp();
    m.poke(entries.last, leafEntry(page, READ_ACCESS));
    expect(translate(0, READ_ACCESS)).toBe(TRANSLATED);
    m.poke(entries.last, leafEntry(page));
    expect(translate(0, WRITE_ACCESS)).toBe(FORBIDDEN); // from the TLB: spurious
    expect([tlb.translations.find(root, 0), tlb.tables.find(root, 0)]).toEqual([-1, -1]);
    expect(translate(0, WRITE_ACCESS)).toBe(TRANSLATED);
  });
});

describe('accessed and dirty bits', () => {
  test('A and D bits are set in one atomic step, and only once', () => {
    const { m, entries, stepsOf } = setUp(true);
    expect(stepsOf(0)).toEqual([
      'read tlb',
      'read page 0 word 0',
      'rmw page 0 word 0',
      'read page 1 word 0',
      'rmw page 1 word 0',
      'read page 2 word 0',
      'rmw page 2 word 0',
    ]);
    expect(m.peek(entries.last) & (ACCESSED | DIRTY)).toBe(ACCESSED);
    expect(stepsOf(0)).toEqual(['read tlb']);
    expect(stepsOf(0, RW)).toEqual(['read tlb', 'read page 2 word 0', 'rmw page 2 word 0']);
    expect(m.peek(entries.last) & DIRTY).toBe(DIRTY);
    expect(m.peek(entries.middle) & DIRTY).toBe(0);
    expect(stepsOf(0, RW)).toEqual(['read tlb']);
  });

  test('A and D bits are not set in an entry that has changed since the walk read it', () => {
    const { m, entries, walker, root } = setUp(true);
    const ends = new Set<string>();
    runAllSchedules(
      m,
      {
        *guest() {
          ends.add(WALK_ENDS[yield* walker.translate(root, 0, RW)]);
        },
        *zapper() {
          yield* m.write(entries.last, 0);
        },
      },
      () => expect(m.peek(entries.last)).toBe(0),
    );
    expect([...ends].toSorted()).toEqual(['absent', 'translated']);
  });

  test('A plain write loses A and D bits, and an exchange returns them', () => {
    const { m, entries, walker, root, page } = setUp(true);
    const lost = (atomic: boolean): number => {
      let count = 0;
      runAllSchedules(
        m,
        {
          *guest() {
            yield* walker.translate(root, 0, RW);
          },
          *cpu() {
            // clears the permission to write
            const old = yield* m.read(entries.last);
            const rest = old & ~WRITE_ACCESS;
            if (atomic) yield* m.cmpxchg(entries.last, old, rest);
            else yield* m.write(entries.last, rest);
          },
        },
        () => {
          const translated = walker.page === page;
          if (translated && (m.peek(entries.last) & DIRTY) === 0) count++;
        },
      );
      return count;
    };
    expect(lost(true)).toBe(0);
    expect(lost(false)).toBeGreaterThan(0);
  });
});

/** Unlinks and frees the last table after a walk through it, with or without a flush. */
function freedTable(flush: 'nothing' | 'leaves' | 'all') {
  const { m, pages, entries, last, tlb, walker, root } = setUp();
  const ending = runActors(m, {
    *vcpu() {
      yield* walker.translate(root, 0, READ_ACCESS);
      yield* m.write(entries.middle, 0);
      if (flush === 'all') yield* tlb.flushRange(0, 4);
      else if (flush === 'leaves') yield* tlb.flushRange(0, 4, { leavesOnly: true });
      yield* pages.free(last);
      yield* walker.translate(root, 1, READ_ACCESS);
    },
  });
  return { ending, rule: m.violation?.rule, level: walker.level };
}

describe('stale translations', () => {
  test('a cached translation is used after its entry changed, until it is flushed', () => {
    const { m, entries, tlb, page, walker, translate } = setUp();
    translate(0);
    m.poke(entries.last, 0);
    expect([translate(0), walker.page]).toEqual([TRANSLATED, page]);
    atomically(tlb.flushRange(0, 1));
    expect(translate(0)).toBe(ABSENT);
  });

  test('a cached translation reaches a freed page unless the vCPU has flushed before', () => {
    const { m, pages, entries, tlb, page, walker, root } = setUp();
    const vcpu = new Vcpu(m, 'vcpu');
    atomically(walker.translate(root, 0, READ_ACCESS));
    m.seal();
    const rules = (kick: boolean) => {
      const broken = new Set<string>();
      runAllSchedules(
        m,
        {
          *guest() {
            if ((yield* vcpu.takeRequests(1)) !== 0) yield* tlb.flush();
            if (!(yield* vcpu.enterUnlessRequested())) return;
            if ((yield* walker.translate(root, 0, READ_ACCESS)) === TRANSLATED)
              yield* pages.readAt(walker.page, 0);
            yield* vcpu.leave();
          },
          *zapper() {
            yield* m.write(entries.last, 0);
            if (kick) yield* requestAllAndWait([vcpu], 1);
            yield* pages.free(page);
          },
        },
        (ending) => broken.add(m.violation?.rule ?? ending),
      );
      return [...broken].toSorted();
    };
    expect(rules(true)).toEqual(['finished']);
    expect(rules(false)).toEqual([USE_AFTER_FREE.id, 'finished']);
  });

  test('a cached paging-structure entry reaches a freed table', () => {
    expect(freedTable('nothing')).toMatchObject({ ending: 'violated', rule: USE_AFTER_FREE.id });
  });

  test('a paging-structure entry survives a leaf-only flush', () => {
    expect(freedTable('leaves')).toMatchObject({ ending: 'violated', rule: USE_AFTER_FREE.id });
  });

  test('a ranged flush drops the paging-structure entries of the range', () => {
    expect(freedTable('all')).toEqual({ ending: 'finished', rule: undefined, level: 1 });
  });

  test('a walk through a table that was freed and reused is reported as a use after free', () => {
    const { m, pages, entries, last, walker, root, page } = setUp();
    runActors(m, {
      *vcpu() {
        yield* walker.translate(root, 0, READ_ACCESS);
        yield* m.write(entries.middle, 0);
        yield* pages.free(last);
        const reused = yield* pages.alloc(TABLE_PAGE);
        yield* pages.writeAt(reused, 1, leafEntry(page));
        yield* walker.translate(root, 1, READ_ACCESS);
      },
    });
    expect(m.violation).toMatchObject({
      rule: USE_AFTER_FREE.id,
      seen: 'table page, generation 3',
    });
  });
});

describe('the walker over a Secure EPT', () => {
  test('a walk over the S-EPT translates only through mapped tables and permitting leaves', () => {
    const m = new Machine();
    const memory = new Memory(m, 32, 4);
    const geometry = new Geometry(4);
    const sept: TableFormat = {
      rootLevel: 3,
      leafLevel: 0,
      span: (level) => geometry.span(level),
      cell: (table, gfn, level) => memory.word(table, geometry.index(gfn, level)),
      touch: () => {},
      permissions: permissionsOf,
      isLeaf,
      isMisconfigured: () => false,
      target: pageOf,
      marked: (e) => e,
    };
    const walker = new Walker(m, sept, new Tlb(m, 'tlb', sept));
    for (const table of [10, 11, 12]) m.poke(memory.word(table, 0), entry(NL_MAPPED, table + 1));
    m.poke(memory.word(13, 0), entry(MAPPED, 20));
    m.poke(memory.word(13, 1), entry(PENDING, 21));
    m.poke(memory.word(12, 1), entry(MAPPED, 24));
    m.seal();
    const at = (gfn: number) => {
      const end = atomically(walker.translate(10, gfn, RW));
      return [WALK_ENDS[end], walker.level, walker.page, walker.offset];
    };
    expect(at(0)).toEqual(['translated', 0, 20, 0]);
    expect(at(1).slice(0, 3)).toEqual(['absent', 0, -1]);
    expect(at(6)).toEqual(['translated', 1, 24, 2]);
    m.reset();
    m.poke(memory.word(11, 0), entry(NL_BLOCKED, 12));
    expect(at(0).slice(0, 3)).toEqual(['absent', 2, -1]);
  });
});
