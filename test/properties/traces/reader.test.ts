/** Events as kernels print them, and as TraceEvent reads them. */
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

test('TraceEvent distinguishes comments, lost events, unknown events and unreadable lines', () => {
  const kinds = [
    '# tracer: nop',
    '',
    'CPU:1 [LOST 17 EVENTS]',
    'hello',
    '    a-1  [000] ..... 1.0: sched_switch: x=1',
  ].map((text) => new TraceEvent().read(Buffer.from(text), 0, text.length, 1));
  expect(kinds).toEqual(['comment', 'comment', 'lost', 'unreadable', 'unknown']);
});

test('LineSplitter joins pieces of lines, and ends the last one', () => {
  for (const size of [1, 2, 3, 100]) {
    const lines: string[] = [];
    const splitter = new LineSplitter((bytes, from, to) =>
      lines.push(Buffer.from(bytes.subarray(from, to)).toString()),
    );
    const text = Buffer.from('one\ntwo\n\nthree');
    for (let i = 0; i < text.length; i += size) splitter.push(text.subarray(i, i + size));
    splitter.end();
    expect(lines).toEqual(['one', 'two', '', 'three']);
  }
});
