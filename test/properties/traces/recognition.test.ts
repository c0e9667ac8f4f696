/** The kernel of a trace, as judgeTrace recognises it by the trace's events. */
import { describe, expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { nameOfEvent, ownLines } from './captures.ts';

describe('the kernel is recognised by its events', () => {
  test.each([
    ['qemu-6.1.192-boot', ['6.1']],
    ['linux-6.1.192-memslot-delete', ['6.1']],
    ['qemu-6.12.117-boot', ['6.12']],
    ['qemu-6.16.12-boot', ['6.16', '6.18']],
    ['qemu-6.18.15-migration', ['6.16', '6.18']],
    ['qemu-7.2.12-boot', ['7.2', '7.3']],
    ['qemu-7.3.4-perf-script', ['7.2', '7.3']],
    ['linux-7.3.4-faults-1g', ['7.2', '7.3']],
  ])('%s', (name, kernels) => {
    expect(judgeTrace(ownLines(name))).toMatchObject({
      kernels,
      isUnknownKernel: false,
      violated: 0,
    });
  });

  test('until an event of the difference, several are possible', () => {
    const lines = ownLines('qemu-6.16.12-boot').filter(
      (line) => !/: (inval_roots|recover_slot|inv_begin): /u.test(line),
    );

    expect(judgeTrace(lines)).toMatchObject({ kernel: '6.12', kernels: ['6.12', '6.16', '6.18'] });
  });
});

const AGES = /: kvm_tdp_mmu_spte_changed: .*old_spte [0-9a-f]*e67 new_spte [0-9a-f]*e47/u;

describe('aging without mmu_lock', () => {
  const later = ownLines('qemu-6.18.15-migration');
  const isLock = (line: string): boolean => /: (rl|rl_ret|ru): .*/u.test(line);
  /** The migration, with a task that ages a leaf and has locked something else before. */
  const aged = (lines: readonly string[]): string[] => {
    const at = lines.findIndex((line) => /: chg: .*level=1 .*new=0x[0-9a-f]+e67 /u.test(line));
    const change = lines[at] ?? '';
    const after = lines.findIndex((line, i) => i > at && / wu: | ru: /u.test(line));
    const gfn = /gfn=0x([0-9a-f]+)/u.exec(change)?.[1];
    const spte = /new=0x([0-9a-f]+)/u.exec(change)?.[1] ?? '';
    const vm = /kvm=(0x[0-9a-f]+)/u.exec(change)?.[1];
    const stamp = Number(/(\d+): (?:ru|wu): /u.exec(lines[after] ?? '')?.[1]);
    const task = `        kdamond.0-53      [000] ...1. ${String(stamp).padStart(12)}`;
    return [
      ...lines.slice(0, after + 1),
      `${task}: rl: (_raw_read_lock+0x4/0x30) lock=0xffffffff91e595a0`,
      `${task}: rl_ret: (f+0x4 <- _raw_read_lock) lock=0xffffffff91e595a0`,
      `${task}: ru: (_raw_read_unlock+0x4/0x30) lock=0xffffffff91e595a0`,
      `${task}: age: (kvm_tdp_mmu_age_gfn_range+0x4/0x10 [kvm]) kvm=${vm} start=0x0 end=0x200`,
      `${task}: kvm_tdp_mmu_spte_changed: as id 0 gfn ${gfn} level 1 old_spte ${spte} ` +
        `new_spte ${spte.replace(/e67$/u, 'e47')}`,
      ...lines.slice(after + 1),
    ];
  };
  const rulesOf = (lines: readonly string[]): string[] =>
    judgeTrace(lines).violations.map(({ rule }) => rule);

  test('is a violation in 6.12', () => {
    const lines = aged(ownLines('qemu-6.12.117-boot'));
    expect(lines.some((line) => AGES.test(line))).toBe(true);
    expect(lines.some(isLock)).toBe(true);
    expect(rulesOf(lines)).toEqual(['K1']);
  });

  test('is none in 6.18', () => {
    expect(rulesOf(aged(later))).toEqual([]);
  });

  test('is not judged where the trace does not distinguish the two', () => {
    const lines = aged(ownLines('qemu-6.12.117-boot')).filter(
      (line) => nameOfEvent(line) !== 'inval_roots' && nameOfEvent(line) !== 'inv_begin',
    );
    const verdict = judgeTrace(lines);

    expect(verdict.kernels).toEqual(['6.12', '6.16', '6.18']);
    expect(verdict.rules['K1']).toMatchObject({
      violated: 0,
      notJudged: { 'no event shows whether this kernel ages with mmu_lock held': 1 },
    });
  });
});

test('a kernel with the events of no known one is judged by what it shares with one', () => {
  const lines = ownLines('qemu-6.16.12-boot').map((line) =>
    line.replace('(handle_changed_spte+', '(__handle_changed_spte+'),
  );

  expect(judgeTrace(lines)).toMatchObject({ kernel: '6.16', isUnknownKernel: true, violated: 0 });
});

/** The events of 6.12 with the values of 6.1, as kernels between them have. */
const between = (lines: readonly string[]): string[] =>
  lines.map((line) =>
    line
      .replaceAll(/(?<=(old|new)=)0x80000000000005a0\b/gu, '0x5a0')
      .replaceAll(/(?<=(old|new)=)0x8000000000000000\b/gu, '0x0')
      .replaceAll(/(?<=_spte )80000000000005a0\b/gu, '5a0')
      .replaceAll(/(?<=_spte )8000000000000000\b/gu, '0'),
  );

test.each(['qemu-6.12.117-boot', 'linux-6.12.117-mixed'])(
  'a kernel with the events of 6.12 and the values of 6.1 is judged by both: %s',
  (name) => {
    const lines = ownLines(name);
    const before = judgeTrace(lines);
    const verdict = judgeTrace(between(lines));

    expect(verdict).toMatchObject({ isUnknownKernel: true, violated: 0 });
    for (const id of ['K2', 'K8', 'K9', 'K13', 'K16', 'K17'])
      expect([id, verdict.rules[id]?.exercised]).toEqual([id, before.rules[id]?.exercised]);
  },
);

test("KVM's own tracepoints alone exercise the rules about the values of changes", () => {
  const lines = ownLines('qemu-6.18.15-migration').filter((line) =>
    /: (kvm_tdp_mmu_spte_changed|fast_page_fault|kvm_mmu_set_spte|kvm_entry|kvm_exit): /u.test(
      line,
    ),
  );
  const { kernel, rules, violated } = judgeTrace(lines);

  expect({ kernel, violated }).toEqual({ kernel: '6.12', violated: 0 });
  for (const id of ['K1', 'K8', 'K9', 'K12', 'K17', 'K19'])
    expect([id, (rules[id]?.exercised ?? 0) > 0]).toEqual([id, true]);
});

test("a leaf that becomes another page's shows in KVM's own tracepoints alone", () => {
  const lines = ownLines('linux-7.3.4-nx-huge').filter((line) =>
    line.includes(': kvm_tdp_mmu_spte_changed: '),
  );
  const at = lines.findIndex((line) => /level 1 .*new_spte [0-9a-f]+e67/u.test(line));
  const wrong = (lines[at] ?? '').replace(/old_spte [0-9a-f]+/u, 'old_spte 1a2b3e67');

  expect(judgeTrace(lines).violated).toBe(0);
  expect(judgeTrace([...lines.slice(0, at), wrong, ...lines.slice(at + 1)])).toMatchObject({
    violated: 1,
    violations: [{ rule: 'K8', line: at + 1, vm: '' }],
  });
});
