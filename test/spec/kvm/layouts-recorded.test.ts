/**
 * Compares the layouts with SPTEs in captures of real kernels, and with what those kernels print
 * about them: permissions in `kvm_mmu_set_spte`, GFN and generation in `mark_mmio_spte`, the
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

/** An event with SPTEs; the one of the two events that a line of 6.1 may hold. */
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

/** Levels that an event's SPTEs may have: 1 for MMIO events; a fast page fault prints no level. */
function levelsIn(event: string, body: string): readonly number[] {
  const level = LEVEL.exec(body)?.[1];
  return level !== undefined ? [Number(level)] : event === 'fast_page_fault' ? [1, 2] : [1];
}

/** Checks a kernel's events. */
class EventChecker {
  readonly kinds: Record<SpteFields['kind'], number> = {
    none: 0,
    frozen: 0,
    mmio: 0,
    table: 0,
    leaf: 0,
  };
  private readonly l: SpteLayout;
  /** GFN and generation of each MMIO SPTE that the kernel reports, after it has written it. */
  private readonly reported = new Set<string>();
  /** GFN and generation of each MMIO SPTE that was seen. */
  private readonly seen = new Set<string>();

  constructor(l: SpteLayout) {
    this.l = l;
  }

  /** Returns the errors of the SPTEs in `line`. */
  check(line: string): string[] {
    const [, event = '', body = ''] = EVENT.exec(line) ?? [];
    if (event === 'mark_mmio_spte') this.reported.add(body.slice(body.indexOf('gfn ')).trim());
    return [...body.matchAll(VALUE)].flatMap(([, text = '']) => this.checkValue(event, body, text));
  }

  /** MMIO SPTEs that the kernel did not report. */
  get unreported(): string[] {
    return [...this.seen].filter((mmio) => !this.reported.has(mmio));
  }

  private checkValue(event: string, body: string, text: string): string[] {
    const readings = levelsIn(event, body)
      .map((level) => decodeSpte(this.l, level, text))
      .filter((f) => f !== null);
    const [fields] = readings;
    if (fields === undefined) return ['not an SPTE'];
    this.kinds[fields.kind]++;
    const wrong = readings
      .filter((each) => encodeSpte(this.l, each).toString(16) !== text)
      .map(({ kind }) => `another encoding as ${kind}`);
    if (fields.kind === 'mmio') return [...wrong, ...this.checkMmio(event, body, fields)];
    // a table that a fast page fault meets at level 2 would be, at level 1, a leaf with W only
    if (fields.kind === 'leaf' && event !== 'fast_page_fault')
      return [...wrong, ...checkLeaf(event, body, fields)];
    return wrong;
  }

  private checkMmio(event: string, body: string, { gfn, generation }: SpteFields): string[] {
    this.seen.add(`gfn ${gfn.toString(16)} access 7 gen ${generation.toString(16)}`);
    const agrees =
      event !== 'check_mmio_spte' || body.includes(` spte-gen ${generation.toString(16)} `);
    return agrees ? [] : ['another generation'];
  }
}

/** W requires MMU_WRITABLE, which requires HOST_WRITABLE; and the kernel prints the same flags. */
function checkLeaf(event: string, body: string, fields: SpteFields): string[] {
  const { writable, executable, user, hostWritable, mmuWritable } = fields;
  const inOrder = (!writable || mmuWritable) && (!mmuWritable || hostWritable);
  // after the r, which 6.1 does not print
  const printed = `${writable ? 'w' : '-'}${executable ? 'x' : '-'}${user ? 'u' : '-'})`;
  const agrees = event !== 'kvm_mmu_set_spte' || body.includes(printed);
  return [
    ...(inOrder ? [] : ['writable without MMU_WRITABLE or HOST_WRITABLE']),
    ...(agrees ? [] : [`not printed as ${printed}`]),
  ];
}

for (const [version, name] of TRACES) {
  testWithTrace(
    name,
    'every SPTE decodes, encodes to itself, and agrees with what the kernel prints about it',
    async (path) => {
      const checker = new EventChecker(LAYOUTS[version].npt);
      const wrong: string[] = [];
      for await (const line of linesOfTrace(path))
        wrong.push(...checker.check(line).map((what) => `${what}: ${line}`));

      const { kinds } = checker;
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(checker.unreported).toEqual([]);
      expect(kinds.none * kinds.table * kinds.leaf).toBeGreaterThan(0);
    },
  );
}
