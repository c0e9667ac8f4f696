/**
 * Real captures with one thing made wrong: what a kernel with a bug would have told. Each finds a place for itself, and
 * says by which rule and at which line the trace has to be refused.
 */
export interface Alteration {
  readonly what: string;
  /** One of our own captures, in recordings/traces/. */
  readonly capture: string;
  readonly rule: string;
  /** Alters the lines; answers with the index of the one at which it shows. */
  readonly alter: (lines: string[]) => number;
}

/** Past the first events, in which everything is new. */
const LATER = 1000;

function find(lines: readonly string[], pattern: RegExp, from = LATER): number {
  const at = lines.findIndex((line, i) => i >= from && pattern.test(line));
  if (at < 0) throw new Error(`no line matches ${pattern}`);
  return at;
}

function findBefore(lines: readonly string[], pattern: RegExp, before: number): number {
  const at = lines.findLastIndex((line, i) => i < before && pattern.test(line));
  if (at < 0) throw new Error(`no line before ${before} matches ${pattern}`);
  return at;
}

/** The event goes, the numbers of the other lines stay. */
const drop = (lines: string[], at: number): void => {
  lines[at] = '#';
};

function edit(lines: string[], at: number, pattern: RegExp, by: (found: string) => string): number {
  const line = lines[at] ?? '';
  const edited = line.replace(pattern, by);
  if (edited === line) throw new Error(`line ${at + 1} has no ${pattern}`);
  lines[at] = edited;
  return at;
}

const taskOf = (line = ''): string => /^\s*(\S+)/.exec(line)?.[1] ?? '';

/** The next line of the same task that matches. */
const nextOf = (lines: readonly string[], at: number, pattern: RegExp): number => {
  const task = taskOf(lines[at]);
  const next = lines.findIndex((line, i) => i > at && taskOf(line) === task && pattern.test(line));
  if (next < 0) throw new Error(`${task} has no ${pattern} after line ${at + 1}`);
  return next;
};

/** Another first digit of the page. */
const otherPage = (value: string): string =>
  value.replace(/x(.)(.)/, (_, a: string, b: string) => `x${a}${b === '1' ? '2' : '1'}`);
const oneLess = (text: string): string => text.replace(/\d+$/, (n) => String(Number(n) - 1));

const DELETE = 'linux-7.3.4-memslot-delete';
const LOG = 'linux-7.3.4-dirty-log';
const MAPS_4K = / chg: .*level=1 .*new=0x[0-9a-f]+e67 shared=1/;

export const ALTERATIONS: readonly Alteration[] = [
  {
    what: 'a notifier does not flush', capture: DELETE, rule: 'K20',
    alter: (lines) => {
      const at = find(lines, / flush: /, find(lines, / zap_leafs: /, 0));
      const end = nextOf(lines, at, / wu: /);
      drop(lines, nextOf(lines, at, / flush_ret: /));
      drop(lines, at);
      return end;
    },
  },
  {
    what: 'an entry is said to be changed with the lock held for write', capture: DELETE, rule: 'K1',
    alter: (lines) => edit(lines, find(lines, MAPS_4K), /shared=1/, () => 'shared=0'),
  },
  {
    what: 'an entry is changed without the lock', capture: DELETE, rule: 'K1',
    alter: (lines) => {
      const at = find(lines, MAPS_4K);
      drop(lines, findBefore(lines, new RegExp(`${taskOf(lines[at])} .* rl_ret: `), at));
      return at;
    },
  },
  {
    what: 'an entry was something else before than what was written last', capture: DELETE, rule: 'K3',
    alter: (lines) =>
      edit(lines, find(lines, / chg: .*level=1 old=0x[0-9a-f]+[1-9a-f][0-9a-f]*825 .*shared=0/), /old=0x../, otherPage),
  },
  {
    what: 'a leaf is put at the wrong level', capture: DELETE, rule: 'K12',
    alter: (lines) => {
      const at = find(lines, / chg: .*gfn=0x[0-9a-f]*[1-9a-f] level=1 .*new=0x[0-9a-f]+e67/);
      return edit(lines, at, /level=1/, () => 'level=2');
    },
  },
  {
    what: 'a leaf is writable and not MMU-writable', capture: DELETE, rule: 'K19',
    alter: (lines) => edit(lines, find(lines, MAPS_4K), /e67 shared/, () => 'a67 shared'),
  },
  {
    what: 'a stale fault is installed', capture: DELETE, rule: 'K37',
    alter: (lines) => edit(lines, find(lines, / map: .*mmu_seq=[1-9]/), /mmu_seq=\d+/, oneLess),
  },
  {
    what: 'the sequence number is not advanced', capture: DELETE, rule: 'K38',
    alter: (lines) => edit(lines, find(lines, / inv_end: .*seq=[1-9]/), /seq=\d+/, oneLess),
  },
  {
    what: 'fewer invalidations are said to be under way than there are', capture: DELETE, rule: 'K38',
    alter: (lines) => edit(lines, find(lines, / inv_end: .*inprog=[1-9]/), /inprog=\d+/, oneLess),
  },
  {
    what: 'a table is linked a second time', capture: DELETE, rule: 'K13',
    alter: (lines) => {
      const first = find(lines, / chg: .*level=2 .*new=0x[0-9a-f]+827/, 0);
      const second = find(lines, / chg: .*level=2 .*new=0x[0-9a-f]+827/, first + 1);
      const value = /new=0x[0-9a-f]+/.exec(lines[first] ?? '')?.[0] ?? '';
      return edit(lines, second, /new=0x[0-9a-f]+/, () => value);
    },
  },
  {
    what: 'a table is linked that nobody initialised', capture: DELETE, rule: 'K13',
    alter: (lines) => {
      const at = find(lines, / init_sp: .*sptep=0xf/, 0);
      const linked = nextOf(lines, at, / chg: .*827 shared=1/);
      drop(lines, at);
      return linked;
    },
  },
  {
    what: 'a vCPU goes back in without the flush that it was told to make', capture: DELETE, rule: 'K20',
    alter: (lines) => {
      const at = find(lines, / hwflush: /, find(lines, / flush_ret: /, 0));
      drop(lines, at);
      return nextOf(lines, at - 1, / kvm_entry: /);
    },
  },
  {
    what: 'a writer gets the lock while another has it', capture: DELETE, rule: 'K1',
    alter: (lines) => {
      const at = find(lines, / wu: .*lock=(0xffff\w+)/);
      const lock = /lock=\w+/.exec(lines[at] ?? '')?.[0] ?? '';
      drop(lines, at);
      return lines.findIndex((line, i) => i > at && line.includes('_ret: ') && line.includes(lock));
    },
  },
  {
    what: 'a child of a split maps another page than the large one did', capture: LOG, rule: 'K13',
    alter: (lines) => {
      const at = find(lines, / chg: .*level=1 old=0x[0-9a-f]+67 new=/, find(lines, / kvm_mmu_split_huge_page/, 0));
      return edit(lines, at, /old=0x[0-9a-f]+/, (value) =>
        value.replace(/.(.67)$/, (tail, rest: string) => `${tail.startsWith('0') ? '1' : '0'}${rest}`));
    },
  },
  {
    what: 'a leaf is passed over when logging begins', capture: LOG, rule: 'K24',
    alter: (lines) => {
      const began = find(lines, / wrprot_slot: /, 0);
      const at = find(lines, / chg: .*e65 shared=1/, began);
      const end = nextOf(lines, at, / flush_slot: /);
      drop(lines, at + 1);
      drop(lines, at);
      return end;
    },
  },
];
