/** SPTE layouts of kernels and vendors: decoding and encoding. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeSpte } from '../../../spec/kvm/layouts/decode.ts';
import { encodeSpte } from '../../../spec/kvm/layouts/encode.ts';
import {
  AD_TYPES,
  NO_SPTE,
  type SpteFields,
  type SpteKind,
} from '../../../spec/kvm/layouts/fields.ts';
import { halvesOf, halvesOfHex, wordOf } from '../../../spec/kvm/layouts/halves.ts';
import { ABSENT, type Bits, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion, type Vendor } from '../../../spec/kvm/layouts/table.ts';
import { SAMPLE } from './sptes.ts';

const VERSIONS: readonly KernelVersion[] = ['6.1', '6.12', '7.3'];
const ALL: readonly (readonly [KernelVersion, Vendor, SpteLayout])[] = VERSIONS.flatMap((version) =>
  (['npt', 'ept'] as const).map((vendor) => [version, vendor, LAYOUTS[version][vendor]] as const),
);

/** Kind, and the fields that are true, as one text. */
const describeFields = (fields: SpteFields | null): string =>
  fields === null
    ? 'nothing'
    : [
        fields.kind,
        ...Object.entries(fields)
          .filter(([, value]) => value === true)
          .map(([name]) => name),
      ].join(' ');

const RW = 'readable writable executable';
const READ_ONLY = 'readable executable';
const HOW_WRITABLE = 'hostWritable mmuWritable';

describe('an NPT entry', () => {
  /** Raw value, level and meaning, on all three kernels, as observed in captures of them. */
  test.for([
    [0x1ace_67n, 1, `leaf ${RW} user accessed dirty ${HOW_WRITABLE}`],
    [0x1ace_65n, 1, `leaf ${READ_ONLY} user accessed dirty ${HOW_WRITABLE}`],
    [0x1ac8_25n, 1, `leaf ${READ_ONLY} user accessed`],
    [0x1ace_47n, 1, `leaf ${RW} user dirty ${HOW_WRITABLE}`],
    [0x1ace_45n, 1, `leaf ${READ_ONLY} user dirty ${HOW_WRITABLE}`],
    [0x1ac8_05n, 1, `leaf ${READ_ONLY} user`],
    [0x1ace_27n, 1, `leaf ${RW} user accessed ${HOW_WRITABLE}`],
    [0x1ace_25n, 1, `leaf ${READ_ONLY} user accessed ${HOW_WRITABLE}`],
    [0x20_0ee7n, 2, `leaf large ${RW} user accessed dirty ${HOW_WRITABLE}`],
    [0x20_0ee5n, 2, `leaf large ${READ_ONLY} user accessed dirty ${HOW_WRITABLE}`],
    [0x20_08a5n, 2, `leaf large ${READ_ONLY} user accessed`],
    [0x8000_0000_0020_0ee7n, 2, `leaf large readable writable user accessed dirty ${HOW_WRITABLE}`],
    [0x8000_0000_0020_08a5n, 2, 'leaf large readable user accessed'],
    [0x4000_0ee7n, 3, `leaf large ${RW} user accessed dirty ${HOW_WRITABLE}`],
    [0x1ac8_27n, 2, `table ${RW} user accessed`],
    [0x1ac8_27n, 3, `table ${RW} user accessed`],
    [0x1ac8_27n, 4, `table ${RW} user accessed`],
    [0x1ac8_27n, 1, `leaf ${RW} user accessed`],
  ] as const)('NPT entry %s decodes at level %s to: %s', ([raw, level, what]) => {
    for (const version of VERSIONS) {
      const fields = decodeSpte(LAYOUTS[version].npt, level, raw);
      expect(describeFields(fields)).toBe(what);
      expect(fields?.pfn).toBe(Number((raw & 0x000f_ffff_ffff_f000n) >> 12n));
    }
  });

  test('an MMIO entry contains GFN, generation, and two of the three permissions', () => {
    for (const version of VERSIONS) {
      const { npt } = LAYOUTS[version];
      const fields: SpteFields = {
        ...NO_SPTE,
        kind: 'mmio',
        gfn: 0x89d4,
        generation: 8,
        access: 6,
      };
      expect(decodeSpte(npt, 1, '80000089d4047')).toEqual(fields);
      expect(encodeSpte(npt, { ...NO_SPTE, kind: 'mmio', gfn: 0x1, generation: 1 })).toBe(
        0x8_0000_0000_1009n,
      );
    }
  });
});

describe('an EPT entry, from source', () => {
  const SVE = 1n << 63n;
  const WRITABLE_BITS = { '6.1': 3n << 57n, '6.12': 3n << 57n, '7.3': 5n << 53n } as const;

  test.for(VERSIONS)(
    'an EPT entry of %s has memory type, PAT bit, A and D, and two bits about writability',
    (version) => {
      const raw = (version === '6.1' ? 0n : SVE) | WRITABLE_BITS[version] | 0x1a_cb77n;
      const fields = decodeSpte(LAYOUTS[version].ept, 1, raw);
      expect(describeFields(fields)).toBe(`leaf ${RW} accessed dirty ${HOW_WRITABLE} ignorePat`);
      expect(fields).toMatchObject({ pfn: 0x1ac, memoryType: 6, adType: 'enabled' });
    },
  );
  test.for([
    ['6.1', 1n << 52n, (1n << 54n) | (1n << 56n), `leaf ${READ_ONLY} accessTracked`],
    ['6.12', SVE | (1n << 52n), (1n << 54n) | (1n << 56n), `leaf ${READ_ONLY} accessTracked`],
    ['7.3', SVE | (1n << 60n), (1n << 52n) | (1n << 54n), `leaf ${READ_ONLY} accessTracked`],
    [
      '7.3',
      SVE | (1n << 60n),
      (1n << 52n) | (1n << 62n),
      'leaf readable userExecutable accessTracked',
    ],
  ] as const)(
    'an access-tracked EPT entry of %s has its permissions in the saved bits',
    ([version, type, saved, what]) => {
      const { ept } = LAYOUTS[version];
      const fields = decodeSpte(ept, 1, type | saved | 0x1a_c830n);
      expect(describeFields(fields)).toBe(what);
      expect(fields?.adType).toBe('disabled');
      // saved permissions beside granted ones are invalid: restoring clears them
      expect(decodeSpte(ept, 1, type | saved | 0x1a_c831n)).toBeNull();
    },
  );
  test('an EPT entry has separate bits for supervisor and user execution since 7.3', () => {
    const raw = SVE | 0x1a_cc31n;
    expect(
      VERSIONS.map((version) => describeFields(decodeSpte(LAYOUTS[version].ept, 1, raw))),
    ).toEqual(['nothing', 'nothing', 'leaf readable userExecutable']);
  });
  test('an EPT entry for MMIO is a misconfiguration, and does not suppress #VE', () => {
    for (const version of VERSIONS) {
      const fields = decodeSpte(LAYOUTS[version].ept, 1, 0x0010_0000_fee0_000en);
      const generation = version === '7.3' ? 0x81 : 0x101;
      expect(fields).toEqual({ ...NO_SPTE, kind: 'mmio', gfn: 0xfee00, generation });
      expect(decodeSpte(LAYOUTS[version].ept, 1, SVE | 0xfee0_0006n)).toBeNull();
    }
  });
  test('an EPT entry of type 3 is refused', () => {
    expect(decodeSpte(LAYOUTS['7.3'].ept, 1, SVE | (3n << 60n) | 0x1a_c837n)).toBeNull();
    expect(decodeSpte(LAYOUTS['6.1'].ept, 2, (3n << 52n) | 0x1a_c807n)).toBeNull();
  });
});

describe.for(ALL)('%s on %s', ([version, vendor, l]) => {
  const empty = version === '6.1' ? 0n : 1n << 63n;
  const frozen = { '6.1': 0x5a0n, '6.12': 0x8000_0000_0000_05a0n, '7.3': 0x8000_0000_0000_01a0n }[
    version
  ];

  test('the layout decodes empty and FROZEN entries at every level', () => {
    for (const level of [1, 2, 3, 4, 5]) {
      expect([decodeSpte(l, level, empty)?.kind, decodeSpte(l, level, frozen)?.kind]).toEqual([
        'none',
        'frozen',
      ]);
    }
  });
  test.for([
    ["another kernel's empty entry", 1, version === '6.1' ? 1n << 63n : 0n],
    ["another kernel's FROZEN", 1, version === '7.3' ? 0x8000_0000_0000_05a0n : 0x1a0n],
    ['a hardware-present entry that is neither MMIO nor present to the MMU', 1, 0x1a_c067n],
    ['bit 7 at level 1', 1, empty | 0x1a_c8a5n],
    ['bit 7 at level 4', 4, empty | 0x1a_c8a5n],
    ['a table that is dirty, or has software bits', 2, empty | 0x1a_ce67n],
  ] as const)('the layout refuses %s', ([, level, raw]) =>
    expect(decodeSpte(l, level, raw)).toBeNull(),
  );

  const has = (bits: Bits): fc.Arbitrary<boolean> =>
    bits === ABSENT ? fc.constant(false) : fc.boolean();
  const number = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
  const frame = number(2 ** 40 - 1);
  const onEpt = vendor === 'ept';
  const permissions = {
    pfn: frame,
    readable: onEpt ? fc.boolean() : fc.constant(true),
    writable: fc.boolean(),
    executable: fc.boolean(),
    userExecutable: has(l.granted.userExecutable),
    user: has(l.user),
    accessed: fc.boolean(),
    adType: fc.constantFrom(...(onEpt ? AD_TYPES : ['enabled' as const])),
  };
  const table = fc
    .record(permissions)
    .map((f): SpteFields => ({ ...NO_SPTE, ...f, kind: 'table' }));
  const leaf = fc
    .record({
      ...permissions,
      dirty: fc.boolean(),
      hostWritable: fc.boolean(),
      mmuWritable: fc.boolean(),
      large: fc.boolean(),
      accessTracked: fc.boolean(),
      memoryType: number(onEpt ? 7 : 0),
      ignorePat: has(l.ignorePat),
    })
    .map((f): SpteFields => {
      const mayRun = f.readable || f.writable || f.executable || f.userExecutable;
      const accessTracked = f.adType === 'disabled' && (f.accessTracked || !mayRun);
      return {
        ...NO_SPTE,
        ...f,
        kind: 'leaf',
        accessTracked,
        writable: f.writable && !accessTracked,
      };
    });
  const mmio = fc
    .record({
      gfn: onEpt ? frame : number(2 ** 39 - 1),
      generation: number(2 ** (version === '7.3' ? 18 : 19) - 1),
      access: fc.constantFrom(...(onEpt ? [0] : [0, 2, 4, 6])),
    })
    .map((f): SpteFields => ({ ...NO_SPTE, ...f, kind: 'mmio' }));

  test('decoding an encoded entry returns its fields', () => {
    fc.assert(
      fc.property(fc.oneof(table, leaf, mmio), (fields) => {
        const level = fields.large || fields.kind === 'table' ? 2 : 1;
        expect(decodeSpte(l, level, encodeSpte(l, fields))).toEqual(fields);
      }),
      { numRuns: 2000 },
    );
  });

  test('encoding a decoded value returns the value', () => {
    const noise = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    const bit = fc.nat(63).map((n) => 1n << BigInt(n));
    const near = fc
      .tuple(fc.oneof(table, leaf, mmio), bit)
      .map(([f, flipped]) => encodeSpte(l, f) ^ flipped);
    let known = 0;
    fc.assert(
      fc.property(fc.oneof(noise, near), number(4), (raw, below) => {
        const fields = decodeSpte(l, below + 1, raw);
        if (fields === null) return;
        known++;
        expect(encodeSpte(l, fields)).toBe(raw);
      }),
      { numRuns: 4000 },
    );
    expect(known).toBeGreaterThan(500);
  });
});

describe.for(VERSIONS)('real SPTEs of %s', (version) => {
  const l = LAYOUTS[version].npt;
  const values = SAMPLE[version].flatMap(([kind, level, texts]) =>
    texts.split(' ').map((text) => ({ kind, level, text })),
  );

  test('observed entries decode to their kind, and encode to themselves', () => {
    for (const { kind, level, text } of values) {
      const fields = decodeSpte(l, level, text);
      expect(fields?.kind, text).toBe(kind);
      expect(encodeSpte(l, fields ?? NO_SPTE).toString(16)).toBe(text);
    }
    expect(values.length).toBeGreaterThan(30);
  });

  test('the observed entries have every bit that the table calls recorded, and no other', () => {
    const isBits = (entry: readonly [string, unknown]): entry is [string, Bits] =>
      typeof entry[1] === 'object' && entry[1] !== null && 'evidence' in entry[1];
    const wordsOf = (...kinds: SpteKind[]): bigint[] =>
      values.filter(({ kind }) => kinds.includes(kind)).map(({ text }) => BigInt(`0x${text}`));
    const ofPresent = [...Object.entries(l), ...Object.entries(l.granted)]
      .filter(isBits)
      .filter(([name]) => name !== 'empty' && name !== 'frozen');
    const cells = [
      ...ofPresent.map((cell) => [...cell, wordsOf('table', 'leaf')] as const),
      ...Object.entries(l.mmio)
        .filter(isBits)
        .map((cell) => [...cell, wordsOf('mmio')] as const),
    ].filter(([, bits]) => bits !== ABSENT);

    const wrong = cells.filter(
      ([, bits, words]) =>
        words.some((word) => (word & wordOf(bits)) !== 0n) !== (bits.evidence === 'recorded'),
    );
    expect(cells.length).toBeGreaterThan(12);
    // NX was observed on all three kernels; the sample of 6.12 has no NX huge page
    expect(wrong.map(([name]) => name)).toEqual(
      version === '6.12' ? ['inverted', 'executable'] : [],
    );
    expect(cells.filter(([, bits]) => bits.evidence === 'source').map(([name]) => name)).toEqual([
      'generationHigh',
    ]);
  });
});

test('no bit of an EPT layout is called recorded', () => {
  for (const version of VERSIONS)
    expect(JSON.stringify(LAYOUTS[version].ept)).not.toContain('recorded');
});

describe('64-bit words', () => {
  test('a word is split into halves and joined again', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (word) => {
        expect(wordOf(halvesOf(word))).toBe(word);
        expect(halvesOfHex(word.toString(16))).toEqual(halvesOf(word));
        expect(halvesOfHex(`0x${word.toString(16)}`)).toEqual(halvesOf(word));
      }),
    );
  });
  test.for(['', '0x', 'spte', '-1', '8é7', '12345678123456781'])('"%s" is not a word', (text) => {
    expect(halvesOfHex(text)).toBeNull();
    expect(decodeSpte(LAYOUTS['7.3'].npt, 1, text)).toBeNull();
  });
});
