/** Events as kernels print them, and as TraceEvent reads them. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TraceEvent } from '../../../properties/traces/reader/event.ts';
import { LineSplitter } from '../../../properties/traces/reader/lines.ts';

function read(text: string): TraceEvent {
  const e = new TraceEvent();
  const bytes = Buffer.from(text);
  e.read(bytes, 0, bytes.length, 1);
  return e;
}

test('TraceEvent reads the values of a probe by name, in any order and base', () => {
  const e = read(
    '              kw-463     [001] ...1.           70: chg: ' +
      '(__handle_changed_spte+0x0/0x830 [kvm]) ' +
      'kvm=0xffff888103788000 role=0x6f81 gfn=0x1 level=1 old=0x8000000000000000 ' +
      'new=0x31ace67 shared=1',
  );
  expect([e.kind?.name, e.pid, e.cpu, e.inInterrupt]).toEqual(['chg', 463, 1, false]);
  expect([
    e.number('gfn'),
    e.number('level'),
    e.high('old') >>> 0,
    e.low('old'),
    e.low('new'),
    e.low('shared'),
  ]).toEqual([1, 1, 0x8000_0000, 0, 0x31ace67, 1]);
  expect([e.has('spt'), e.number('spt')]).toEqual([false, 0]);
});

test('TraceEvent reads the values of a tracepoint by the words before them', () => {
  const e = read(
    '    kw-640     [000] .....       528649: fast_page_fault: vcpu 0 gva 1000830 ' +
      'error_code P|W|U|0x100000000 ' +
      'sptep ffff888119476000 old 0x11c000e65 new 11c000e67 spurious 0 fixed 1',
  );
  expect([e.high('old'), e.low('old'), e.low('new'), e.number('fixed')]).toEqual([
    1, 0x1c000e65, 0x1c000e67, 1,
  ]);
});

test('TraceEvent reads names of tasks with blanks, dashes and brackets', () => {
  const e = read(
    'kvm-nx-lpage-re-1177    [000] ...1.      4528548: ru: (_raw_read_unlock+0x4/0x30) ' +
      'lock=0xffff888101c7e000',
  );
  expect([e.pid, e.task(), e.kind?.name]).toEqual([1177, 'kvm-nx-lpage-re-1177', 'ru']);
  expect(
    read('       a [0] b-c-7       (   7) [001] d.s1.  1.5: ru: (f+0x0/0x1) lock=0x1'),
  ).toMatchObject({ pid: 7, cpu: 1 });
});

test('TraceEvent does not attribute events in interrupt context to the interrupted task', () => {
  expect(
    read(
      '          <idle>-0       [000] .Ns1.      1946613: free_rcu: (f+0x4/0x40 [kvm]) ' +
        'head=0x1 spt=0x2',
    ).inInterrupt,
  ).toBe(true);
});

test('TraceEvent reads the event after one that lacks its newline', () => {
  const text =
    '              kw-521     [001] ...1.      1189093: kvm_mmu_get_page:               ' +
    'kw-521     [001] ...1.      ' +
    '1189094: wu: (_raw_write_unlock+0x0/0x20) lock=0xffffc900007c9000';
  const e = read(text);
  expect(e.kind?.name).toBe('kvm_mmu_get_page');
  expect(e.read(Buffer.from(text), e.next, text.length, 1)).toBe('event');
  expect([e.kind?.name, e.pid]).toEqual(['wu', 521]);
});

/** The same event, as each recorder prints it. */
const RECORDED = [
  [
    'tracefs',
    '     CPU 0/KVM-147     [001] d.s1.        11302: map: (kvm_tdp_mmu_map+0x4/0x7b0 [kvm])',
  ],
  [
    'tracefs without irq-info',
    '     CPU 0/KVM-147     [001]     0.011302: map: (kvm_tdp_mmu_map+0x4/0x7b0)',
  ],
  [
    'tracefs with record-tgid',
    '     CPU 0/KVM-147     (    139) [001] d.s1. 0.011302: map: (kvm_tdp_mmu_map+0x4/0x7b0)',
  ],
  [
    'tracefs with latency-format',
    ' CPU 0/K-147       1d.s1. 11302us+: map: (kvm_tdp_mmu_map+0x4/0x7b0 [kvm])',
  ],
  [
    'trace-cmd report',
    '     CPU 0/KVM-147   [001] d.s1.       11302: map:                  (ffffffffc0961ad4)',
  ],
  [
    'trace-cmd report -R',
    '     CPU 0/KVM-147   [001] d.s1.       11302: map:      __probe_ip=ffffffffc0961ad4',
  ],
  ['perf script', '       CPU 0/KVM     147 [001]     0.000011302:     kv:map: (ffffffffc0961ad4)'],
  [
    'perf script -F +pid',
    '       CPU 0/KVM     139/147   [001]     0.000011302:     kv:map: (ffffffffc0961ad4)',
  ],
] as const;

test.each(RECORDED)('TraceEvent reads the same event of %s', (recorder, head) => {
  const e = read(
    `${head} vcpu=0xffff8d30c3fa39e0 kvm=0xffff8d30c2b94000 root=0xcba0000 gfn=0xfffff ` +
      'pfn=0x1241a ec=0x100000014 req=1 mmu_seq=0',
  );
  const hasFlags = !/irq-info|perf/.test(recorder);

  expect([e.kind?.name, e.pid, e.cpu, e.time]).toEqual(['map', 147, 1, 11302]);
  expect(e.task()).toBe(recorder.includes('latency') ? 'CPU 0/K-147' : 'CPU 0/KVM-147');
  expect([e.hasFlags, e.inInterrupt]).toEqual([hasFlags, hasFlags]);
  expect([e.number('root'), e.number('gfn'), e.number('pfn')]).toEqual([
    0xcba0000, 0xfffff, 0x1241a,
  ]);
  expect([e.high('kvm') >>> 0, e.low('kvm') >>> 0]).toEqual([0xffff8d30, 0xc2b94000]);
  expect(e.caller === 0).toBe(e.probed !== 0);
  expect(e.probed).toBe(/trace-cmd|perf/.test(recorder) ? 0x1fffffc0961ad4 : 0);
});

test.each([
  ['tracefs', 'as id 0 gfn 4603 level 4 old_spte 8000000000000000 new_spte cb9f827'],
  ['trace-cmd report -R', ' gfn=4603 old_spte=8000000000000000 new_spte=cb9f827 level=4 as_id=0'],
])('TraceEvent reads the same tracepoint of %s', (_, body) => {
  const e = read(` qemu-156   [000] .....   3: kvm_tdp_mmu_spte_changed: ${body}`);
  expect([e.number('gfn'), e.number('level'), e.has('as_id'), e.number('as_id')]).toEqual([
    0x4603,
    4,
    true,
    0,
  ]);
  expect([e.high('old') >>> 0, e.low('old'), e.low('new')]).toEqual([0x80000000, 0, 0xcb9f827]);
});

test('TraceEvent reads raw fields in decimal where the recorder prints addresses with 0x', () => {
  const e = new TraceEvent();
  const lines = [
    ' qemu-156   [000]   3: wu:      __probe_ip=0xffffffffa0bca004 lock=18446617839273900184',
    ' qemu-156   [000]   4: kvm_tdp_mmu_spte_changed:  gfn=4603 new_spte=213514279 level=1',
  ].map((text) => Buffer.from(text));
  e.read(lines[0] ?? Buffer.alloc(0), 0, lines[0]?.length ?? 0, 1);
  expect([e.high('lock') >>> 0, e.low('lock') >>> 0]).toEqual([0xffff8d30, 0xc14df898]);
  e.read(lines[1] ?? Buffer.alloc(0), 0, lines[1]?.length ?? 0, 2);
  expect([e.number('gfn'), e.low('new')]).toEqual([4603, 0xcb9f827]);
});

test('TraceEvent takes the return address for the caller where it is no name', () => {
  const e = read(
    ' qemu-156   [001] ...1.  1333: wl_ret:   (ffffffffa0bca444 <- ffffffffc082742d) lock=0x1',
  );
  expect([e.probed, e.returnsTo]).toEqual([0x1fffffa0bca444, 0x1fffffc082742d]);
});

test('TraceEvent takes no event of trace-cmd report for two', () => {
  const e = read(
    ' qemu-156   [001] ...1.  1333: mn_clear_young:       (ffffffffc08ec7e4) start=0x1 end=0x2',
  );
  expect([e.kind?.name, e.next]).toEqual(['mn_clear_young', -1]);
});

test.each([
  ['free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=(fault)', 'spt'],
  ['free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=?', 'spt'],
  ['free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=0x123456789abcdef01', 'spt'],
  ['free_rcu: (f+0x4/0x40 [kvm]) head=0x1 spt=99999999999999999999', 'spt'],
  ['fast_page_fault: vcpu 0 sptep ____ptrval____ old 0x1 new 2', 'sptep'],
  ['fast_page_fault: vcpu 0 sptep (null) old 0x1 new 2', 'sptep'],
] as const)('TraceEvent has no value where %s has no number', (body, key) => {
  const e = read(`    kw-640     [000] .....       528649: ${body}`);
  expect([e.has(key), e.number(key), e.notNumbers()]).toEqual([false, 0, [key]]);
});

test('TraceEvent reads the largest and smallest decimal numbers exactly', () => {
  const valueOf = (text: string): readonly number[] => {
    const e = read(`    kw-640     [000] .....   5: inv_end: (f+0x4/0x40 [kvm]) seq=${text}`);
    return [e.high('seq'), e.low('seq')];
  };
  expect(valueOf('18446744073709551615')).toEqual([-1, -1]);
  expect(valueOf('-1')).toEqual([-1, -1]);
  expect(valueOf('-9223372036854775808')).toEqual([-(2 ** 31), 0]);
  expect(valueOf('9007199254740993')).toEqual([0x200000, 1]);
});

test('TraceEvent distinguishes comments, lost events, unknown events and unreadable lines', () => {
  const kinds = [
    '# tracer: nop',
    '',
    'cpus=2',
    'CPU 0 is empty',
    ' => kvm_vcpu_ioctl',
    '    a-1  [000] ..... 1.0: <stack trace>',
    '\tffffffffc06ec7e4 kvm_mmu_notifier_clear_young+0x4 ([kvm])',
    'hello',
    '    a-1  [000] ..... 1.0: sched_switch: x=1',
    '    a-1  [9999] ..... 1.0: sched_switch: x=1',
  ].map((text) => new TraceEvent().read(Buffer.from(text), 0, text.length, 1));
  expect(kinds).toEqual([
    ...Array.from({ length: 7 }, () => 'comment'),
    'unreadable',
    'unknown',
    'unreadable',
  ]);
});

test.each([
  ['CPU:1 [LOST 17 EVENTS]', 'lost', 1, 17],
  ['CPU:1 [LOST EVENTS]', 'lost', 1, 0],
  ['CPU:7 [204600 EVENTS DROPPED]', 'lost', 7, 204600],
  ['CPU:7 [EVENTS DROPPED]', 'lost', 7, 0],
  ['   swapper     0 [003]    12.345678: PERF_RECORD_LOST lost 12', 'lost', 3, 12],
  ['##### CPU 3 buffer started ####', 'started', 3, 0],
])('TraceEvent reads how many events of which CPU are missing: %s', (text, kind, cpu, lost) => {
  const e = new TraceEvent();
  expect([e.read(Buffer.from(text), 0, text.length, 1), e.cpu, e.lost]).toEqual([kind, cpu, lost]);
});

test('TraceEvent returns for any line, whatever follows it in the bytes', () => {
  const e = new TraceEvent();
  const texts = RECORDED.map(([, head]) => `${head} kvm=0x1 gfn=0x2 level=3`);
  const kinds = new Set(['event', 'unknown', 'comment', 'lost', 'started', 'unreadable']);
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.nat(),
      fc.nat(),
      fc.uint8Array({ maxLength: 20 }),
      (text, cut, at, noise) => {
        const bytes = Buffer.from(text);
        bytes.set(noise.slice(0, bytes.length), at % (bytes.length - noise.length + 1));
        const to = cut % (bytes.length + 1);
        expect(kinds).toContain(e.read(bytes, 0, to, 1));
        expect(e.next).toBeLessThan(to);
      },
    ),
    { seed: 1, numRuns: 20_000 },
  );
});

test('LineSplitter joins pieces of lines, and does not pass on a last one without its end', () => {
  for (const size of [1, 2, 3, 100]) {
    const lines: string[] = [];
    const splitter = new LineSplitter((bytes, from, to) =>
      lines.push(Buffer.from(bytes.subarray(from, to)).toString()),
    );
    const text = Buffer.from('one\ntwo\n\nthree');
    for (let i = 0; i < text.length; i += size) splitter.push(text.subarray(i, i + size));
    expect([splitter.end(), lines]).toEqual([true, ['one', 'two', '']]);
    splitter.push(Buffer.from('\n'));
    expect([splitter.end(), lines.at(-1)]).toEqual([false, 'three']);
  }
});
