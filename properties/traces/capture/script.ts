/** The script of `sept probes --script`: the parts beside this file, and data. Needs no Node. */
import { readFileSync } from 'node:fs';
import type { KernelName } from '../kernels/names.ts';
import type { Probe } from '../kernels/probe.ts';
import { PROBES } from '../kernels/probes.ts';
import { TDX_NOTES, TDX_PROBES } from '../kernels/tdx-probes.ts';
import { definitionOf, rulesThatNeed, TRACEPOINTS } from '../probes.ts';
import type { EventName } from '../reader/event-table.ts';
import { COMM_CHARACTERS, TASK_NAMES } from './tasks.ts';

/** Files of the script, in its order. */
const PARTS = ['options', 'host', 'probes', 'buffer', 'output', 'main'] as const;

/**
 * Lists of probes in the order in which a kernel tries them, by its first version, newest first. A
 * probe that the first list does not have as the kernel needs it is sought in the next one. That is
 * safe for lists that fetch values by name, as the kernel checks names; 6.1, which fetches them
 * from registers, stands alone. Kernels between 6.1 and 6.5 have other functions than 6.1, and know
 * no names. Measured: 6.16 and 6.18 have `chg` and `inv_begin` of 6.12 (6.16 also `nxzap`) and the
 * rest of 7.3; 7.2 has all of 7.3. The two values without a name, `role` of `init_sp` and `spt` of
 * `free_rcu`, are where they were in all of these.
 */
const LISTS: readonly { readonly from: string; readonly lists: readonly KernelName[] }[] = [
  { from: '6.13', lists: ['7.3', '6.12'] },
  { from: '6.5', lists: ['6.12', '7.3'] },
  { from: '6.2', lists: [] },
  { from: '6.1', lists: ['6.1'] },
];

/** The first version whose wrappers of the module's calls have the arguments of the TDX probes. */
const TDX_FROM = '7.0';
const TDX_LIST = 'tdx';

export interface CaptureOptions {
  /** The only list of probes to carry. Without it, the script chooses by the kernel's version. */
  readonly kernel?: KernelName | undefined;
  /** Whether to add the probes of a TDX host. */
  readonly tdx?: boolean;
}

/** Text of a POSIX shell script that records a trace for `sept trace`. Its -h prints its usage. */
export function captureScript({ kernel, tdx = false }: CaptureOptions = {}): string {
  const tried = new Set(kernel === undefined ? LISTS.flatMap((row) => row.lists) : [kernel]);
  const kernels = [...tried].toReversed().map((name) => [name, PROBES[name]] as const);
  const lists = [...kernels, ...(tdx ? [[TDX_LIST, TDX_PROBES] as const] : [])];
  return [
    '#!/bin/sh',
    `# Records a trace of KVM for sept trace, with the probes of Linux ${versionsOf(kernels)}.`,
    '# Written by sept probes --script. It runs as root on the traced host: sh capture.sh -h',
    ...(tdx ? TDX_NOTES.map((note) => `# ${note}`) : []),
    '# shellcheck disable=SC2317,SC2329 # functions that trap calls',
    'set -u',
    'export LC_ALL=C',
    '# addresses of the kernel are not for every user',
    'umask 077',
    '',
    '# first version of a kernel, and its lists of probes in the order in which they are tried',
    dataOf('list_table', kernel === undefined ? listRows(tdx) : [listRow('0.0', [kernel], tdx)]),
    '# event|rules that need it|lists|definition, with @ for the group of this run',
    dataOf('probe_table', probeRows(lists)),
    '# tracepoint|rules that need it',
    dataOf(
      'tracepoint_table',
      TRACEPOINTS.map(({ system, event }) => `${system}/${event}|${rulesText(event)}`),
    ),
    '# names of tasks that acquire mmu_lock',
    dataOf(
      'task_table',
      TASK_NAMES.map(({ comm, what }) => `${comm.padEnd(COMM_CHARACTERS)} # ${what}`),
    ),
    ...PARTS.map((part) => readFileSync(new URL(`${part}.sh`, import.meta.url), 'utf8')),
  ].join('\n');
}

const versionsOf = (kernels: readonly (readonly [string, unknown])[]): string =>
  kernels.map(([version]) => version).join(', ');

/** A function of the script that prints lines. */
const dataOf = (name: string, rows: readonly string[]): string =>
  [`${name}() {`, "  cat <<'END'", ...rows, 'END', '}', ''].join('\n');

const listRow = (from: string, lists: readonly KernelName[], tdx: boolean): string =>
  [from, ...(lists.length === 0 ? ['none'] : lists), ...(tdx ? [TDX_LIST] : [])].join(' ');

function listRows(tdx: boolean): string[] {
  const rows = LISTS.map(({ from, lists }) => listRow(from, lists, false));
  return tdx ? [listRow(TDX_FROM, LISTS[0]?.lists ?? [], true), ...rows] : rows;
}

/** One row a definition, with all lists that have it. */
function probeRows(lists: readonly (readonly [string, readonly Probe[]])[]): string[] {
  const rows = new Map<string, { event: EventName; lists: string[] }>();
  for (const [list, probes] of lists) {
    for (const probe of probes) {
      const definition = definitionOf(probe, { probes: '@', locks: '@_lk' });
      const row = rows.get(definition) ?? { event: probe.name, lists: [] };
      row.lists.push(list);
      rows.set(definition, row);
    }
  }
  return [...rows].map(([definition, row]) =>
    [row.event, rulesText(row.event), row.lists.join(' '), definition].join('|'),
  );
}

const rulesText = (event: EventName): string => rulesThatNeed(event).join(', ');
