/**
 * SPTEs of real kernels, from captures: some of each kind and level, and MMIO SPTEs of several
 * generations, so that a clone without the captures tests the same layouts.
 */
import type { SpteKind } from '../../../spec/kvm/layouts/fields.ts';
import type { KernelVersion } from '../../../spec/kvm/layouts/table.ts';

/** Kind, level, and the values in hexadecimal, as tracepoints print them. */
export type SampleRow = readonly [kind: SpteKind, level: number, values: string];

export const SAMPLE: Readonly<Record<KernelVersion, readonly SampleRow[]>> = {
  '6.1': [
    ['none', 1, '0'],
    ['none', 4, '0'],
    ['frozen', 1, '5a0'],
    ['frozen', 2, '5a0'],
    ['frozen', 3, '5a0'],
    [
      'leaf',
      1,
      '3310825 122332825 1231c6825 10d71be27 120105e27 122904e27 1025f5e67 11bad9e67 1241ffe67',
    ],
    ['leaf', 2, '80000001018008a5 8000000110a00ee7 800000011f800ee7 8000000124000ee7'],
    ['table', 2, '10088e827 10d129827 11b7fa827'],
    ['table', 3, '100bd3827 102ed9827 11b7e5827'],
    ['table', 4, '100bd2827 10d059827 11b7af827'],
    [
      'mmio',
      1,
      '8000008042047 80000080060a7 800000c09e0d7 800000c0150e7 ' +
        '800000c113107 800000c01d157 800000c2cc167',
    ],
  ],
  '6.12': [
    ['none', 1, '8000000000000000'],
    ['none', 4, '8000000000000000'],
    ['frozen', 1, '80000000000005a0'],
    ['frozen', 2, '80000000000005a0'],
    ['frozen', 3, '80000000000005a0'],
    [
      'leaf',
      1,
      '3738825 10a29a825 102698e27 10cb55e27 102731e65 1526d5e65 1018c1e67 10cb5ee67 23fe61e67',
    ],
    ['leaf', 2, '10a2008a5 10a800ee7 10ac00ee7 10ae00ee7'],
    ['table', 2, '10251a827 10bb43827 11ffe4827'],
    ['table', 3, '102526827 10bb35827 110520827'],
    ['table', 4, '102c8a827 10bb56827 11050c827'],
    [
      'mmio',
      1,
      '8000008157047 8000008079057 80000080cf077 800000801b087 ' +
        '80000081f1127 800000816e177 800000800e197',
    ],
  ],
  '7.3': [
    ['none', 1, '8000000000000000'],
    ['none', 4, '8000000000000000'],
    ['frozen', 1, '80000000000001a0'],
    ['frozen', 2, '80000000000001a0'],
    ['frozen', 3, '80000000000001a0'],
    [
      'leaf',
      1,
      '224d825 144a44825 1029e8e47 11fdffe47 11a400e65 146966e65 102400e67 1205e8e67 146966e67',
    ],
    ['leaf', 2, '1028008a5 1036008a5 11a400ee5 121800ee5 10c200ee7 122a00ee7'],
    ['leaf', 2, '80000001036008a5 8000000120a008a5 800000010c200ee7 8000000122a00ee7'],
    ['leaf', 3, '1800008a5 1c00008a5 180000ee7 1c0000ee7'],
    ['table', 2, '100906827 10c0c7827 11d73d827'],
    ['table', 3, '1009f8827 1117b4827 11d73e827'],
    ['table', 4, '10158c827 11177c827 11d73f827'],
    [
      'mmio',
      1,
      '800000802a047 80000080590f7 8000008036117 80000081b2187 ' +
        '80000083c31f7 8000008772207 80000082a0307',
    ],
  ],
};
