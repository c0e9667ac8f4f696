/**
 * The layouts beside what real kernels wrote, and beside what those kernels said of it: the
 * permissions that `kvm_mmu_set_spte` prints, GFN and generation in `mark_mmio_spte`, the
 * generation in `check_mmio_spte`.
 */
import { expect } from 'vitest';
import { decodeSpte } from '../../../spec/kvm/layouts/decode.ts';
import { encodeSpte } from '../../../spec/kvm/layouts/encode.ts';
import type { SpteFields } from '../../../spec/kvm/layouts/fields.ts';
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion } from '../../../spec/kvm/layouts/table.ts';
import { linesOfTrace, testWithTrace } from './traces.ts';

const TRACES: readonly (readonly [KernelVersion, string])[] = [
  ['7.3', 'linux-7.3.4-d-smm-zap'],
  ['7.3', 'linux-7.3.4-c-ee-nx-huge-toggle'],
  ['7.3', 'linux-7.3.4-memslot-delete-quirkoff'],
  ['7.3', 'linux-7.3.4-c-faults-1g'],
  ['6.12', 'linux-6.12.117-smm-mmio'],
  ['6.12', 'linux-6.12.117-b-ee-mixed-4k'],
  ['6.1', 'linux-6.1.192-nx-huge-recovery'],
  ['6.1', 'linux-6.1.192-memslot-delete-race'],
  ['6.1', 'linux-6.1.192-fork-cow'],
];

/** An event that tells of SPTEs; of a 6.1 line that holds two events, the one that does. */
const EVENT = new RegExp(
  `: (${[
    'kvm_tdp_mmu_spte_changed',
    'chg',
    'kvm_mmu_set_spte',
    'kvm_mmu_split_huge_page',
    'fast_page_fault',
    'mark_mmio_spte',
    'check_mmio_spte',
  ].join('|')}): (.*)`,
);
const VALUE = /\b(?:old_spte|new_spte|spte|old|new)[ =](?:0x)?([0-9a-f]+)\b/g;
const LEVEL = /\blevel[ =](\d)/;

/**
 * The levels that an event's SPTEs may be of. MMIO events are of level 1; a fast page fault does
 * not say.
 */
function levelsIn(event: string, body: string): readonly number[] {
  const level = LEVEL.exec(body)?.[1];
  return level !== undefined ? [Number(level)] : event === 'fast_page_fault' ? [1, 2] : [1];
}

/** Reads a kernel's events; answers what is wrong with one. */
class Reader {
  readonly kinds: Record<SpteFields['kind'], number> = {
    none: 0,
    frozen: 0,
    mmio: 0,
    table: 0,
    leaf: 0,
  };
  private readonly l: SpteLayout;
  /** GFN and generation of the MMIO SPTEs that the kernel says it made, */
  private readonly made = new Set<string>();
  /** and of those that there are. The kernel says so after the SPTE is there. */
  private readonly there = new Set<string>();

  constructor(l: SpteLayout) {
    this.l = l;
  }

  /** What is wrong with the SPTEs in `line`. */
  read(line: string): string[] {
    const [, event = '', body = ''] = EVENT.exec(line) ?? [];
    if (event === 'mark_mmio_spte') this.made.add(body.slice(body.indexOf('gfn ')).trim());
    return [...body.matchAll(VALUE)].flatMap(([, text = '']) => this.judge(event, body, text));
  }

  /** MMIO SPTEs that the kernel did not say it made. */
  get neverMade(): string[] {
    return [...this.there].filter((mmio) => !this.made.has(mmio));
  }

  private judge(event: string, body: string, text: string): string[] {
    const readings = levelsIn(event, body)
      .map((level) => decodeSpte(this.l, level, text))
      .filter((f) => f !== null);
    const [fields] = readings;
    if (fields === undefined) return ['no SPTE looks so'];
    this.kinds[fields.kind]++;
    const wrong = readings
      .filter((each) => encodeSpte(this.l, each).toString(16) !== text)
      .map(({ kind }) => `another encoding as ${kind}`);
    if (fields.kind === 'mmio') return [...wrong, ...this.judgeMmio(event, body, fields)];
    // A table that a fast page fault meets at level 2 would be, at level 1, a leaf with W alone.
    if (fields.kind === 'leaf' && event !== 'fast_page_fault')
      return [...wrong, ...judgeLeaf(event, body, fields)];
    return wrong;
  }

  private judgeMmio(event: string, body: string, { gfn, generation }: SpteFields): string[] {
    this.there.add(`gfn ${gfn.toString(16)} access 7 gen ${generation.toString(16)}`);
    const said =
      event !== 'check_mmio_spte' || body.includes(` spte-gen ${generation.toString(16)} `);
    return said ? [] : ['another generation'];
  }
}

/**
 * W needs MMU_WRITABLE, which needs HOST_WRITABLE (invariant 4 of the recordings); and what the
 * kernel printed.
 */
function judgeLeaf(event: string, body: string, fields: SpteFields): string[] {
  const { writable, executable, user, hostWritable, mmuWritable } = fields;
  const inOrder = (!writable || mmuWritable) && (!mmuWritable || hostWritable);
  // After the r, which 6.1 does not print.
  const printed = `${writable ? 'w' : '-'}${executable ? 'x' : '-'}${user ? 'u' : '-'})`;
  const said = event !== 'kvm_mmu_set_spte' || body.includes(printed);
  return [
    ...(inOrder ? [] : ['writable without a reason']),
    ...(said ? [] : [`printed otherwise than ${printed}`]),
  ];
}

for (const [version, name] of TRACES) {
  testWithTrace(
    name,
    'every SPTE is one, encodes to itself, and says what the kernel says of it',
    async (path) => {
      const reader = new Reader(LAYOUTS[version].npt);
      const wrong: string[] = [];
      for await (const line of linesOfTrace(path))
        wrong.push(...reader.read(line).map((what) => `${what}: ${line}`));

      console.log(
        `${name}: ${Object.entries(reader.kinds)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(', ')}`,
      );
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(reader.neverMade).toEqual([]);
      expect(reader.kinds.none * reader.kinds.table * reader.kinds.leaf).toBeGreaterThan(0);
    },
  );
}
