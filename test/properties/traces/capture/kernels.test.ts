/** The script of `sept probes --script` on kernels that lack functions, tracepoints or files. */
import { expect, test } from 'vitest';
import { captureScript } from '../../../../properties/traces/capture/script.ts';
import { declared, fakeTracefs, record } from './captures.ts';
import type { FakeTracefs } from './fake-tracefs.ts';

const without = (fake: FakeTracefs, ...symbols: string[]): void =>
  fake.write(
    'available_filter_functions',
    fake
      .lines('available_filter_functions')
      .filter((line) => !symbols.includes(line.split(' ')[0] ?? ''))
      .join('\n'),
  );

test('a probe that does not attach is reported, with the reason and its rules', async () => {
  const fake = fakeTracefs();
  without(fake, 'kvm_tdp_mmu_zap_possible_nx_huge_page', 'kvm_tdp_mmu_zap_sp');
  const { code, stderr } = await fake.run(record(''));

  expect(code).toBe(0);
  expect(stderr).toContain('sept: 54 of 55 probes attached\n');
  expect(stderr).toContain(
    'sept: not attached: nxzap: the kernel has no function ' +
      'kvm_tdp_mmu_zap_possible_nx_huge_page, which costs K18\n',
  );
  expect(declared(fake.output())).not.toContain('nxzap');
  expect(declared(fake.output())).toContain('chg');
});

test('a kernel between two lists takes each probe from the list that fits', async () => {
  const fake = fakeTracefs();
  without(fake, '__handle_changed_spte', 'kvm_tdp_mmu_invalidate_all_roots', 'kvm_tdp_mmu_zap_sp');
  const { stderr } = await fake.run(record(''), { release: '6.18.15+deb13-amd64' });

  expect(stderr).toContain('probes of the list 7.3, then 6.12\n');
  expect(stderr).toContain('sept: of the list 6.12 instead: chg\n');
  expect(stderr).toContain('sept: 55 of 55 probes attached\n');
  expect(fake.read('dynamic_events')).toMatch(/^p:sept_\d+\/chg handle_changed_spte kvm=kvm:x64/m);
  expect(fake.read('dynamic_events')).toMatch(/^p:sept_\d+\/nxzap kvm_tdp_mmu_zap_possible/m);
});

test('definitions with registers are for no other kernel than theirs', async () => {
  const fake = fakeTracefs();
  const { stderr } = await fake.run(record(''), { release: '6.1.0-57-amd64' });

  expect(stderr).toContain('sept: Linux 6.1.0-57-amd64: probes of the list 6.1\n');
  expect(fake.read('dynamic_events')).toMatch(/chg __handle_changed_spte kvm=%di:x64/);
});

test('the script of one list tries it on any kernel', async () => {
  const fake = fakeTracefs(captureScript({ kernel: '6.12' }));
  const { stderr } = await fake.run(record(''), { release: '5.14.0-570.el9.x86_64' });

  expect(stderr).toContain('sept: Linux 5.14.0-570.el9.x86_64: probes of the list 6.12\n');
  expect(stderr).toContain('sept: 55 of 55 probes attached\n');
});

test('tracepoints that the kernel lacks are reported with the rules that they cost', async () => {
  const fake = fakeTracefs();
  fake.remove('events/kvmmmu');
  const { code, stderr } = await fake.run(record(''));

  expect(code).toBe(0);
  expect(stderr).toContain('sept: no tracepoint kvmmmu/fast_page_fault, which costs K1\n');
  expect(stderr).toContain(
    'sept: no tracepoint kvmmmu/kvm_tdp_mmu_spte_changed, which costs K24\n',
  );
  expect(declared(fake.output())).not.toContain('fast_page_fault');
  expect(declared(fake.output())).toContain('kvm_entry');
});

test('if no probe attaches, the kernel gives the reason and the capture ends', async () => {
  const fake = fakeTracefs();
  fake.remove('dynamic_events');
  fake.write('dynamic_events/folder', 'a folder takes no writes, even of root');
  fake.write('error_log', '[1.0] trace_kprobe: error: BTF is not available\n  Command: p:x\n');
  const { code, stderr } = await fake.run(record(''));

  expect(code).toBe(125);
  expect(stderr).toContain('sept: 0 of 55 probes attached\n');
  expect(stderr).toContain(
    'not attached: nxzap: kvm_tdp_mmu_zap_possible_nx_huge_page: BTF is not available, ' +
      'which costs K18\n',
  );
  expect(stderr).toMatch(/sept: no probe attached: nothing to record\n$/);
  expect(fake.read('options/hash-ptr')).toBe('1\n');
  expect(fake.outputs()).toEqual([]);
});

test('a missing clock or option is said, with what it costs', async () => {
  const fake = fakeTracefs();
  fake.remove('trace_clock');
  fake.remove('options/hash-ptr');
  const { code, stderr } = await fake.run(record(''));

  expect(code).toBe(0);
  expect(stderr).toContain('sept: no clock orders the CPUs: ');
  expect(stderr).toContain('sept: option hash-ptr cannot be set to 0: ');
});

test('probes of a TDX host are left out where their arguments are others', async () => {
  const fake = fakeTracefs(captureScript({ tdx: true }));
  const old = await fake.run(record(''), { release: '6.16.12' });
  const { stderr } = await fake.run(['-f', ...record('')], { release: '7.0.1' });

  expect(old.stderr).toContain(
    'sept: the probes of a TDX host are those of Linux 7.0 and later: left out\n',
  );
  expect(old.stderr).toContain('sept: 55 of 55 probes attached\n');
  expect(stderr).toMatch(/sept: (\d+) of \1 probes attached/);
  expect(declared(fake.output())).toContain('tdh_mem_page_aug_ret');
});
