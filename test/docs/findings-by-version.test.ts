/** docs/findings.md: which version of the module has which finding. */
import { expect, test } from 'vitest';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { HOST_PRIORITY } from '../../spec/tdx/entry.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import { ATTRIBUTES } from '../../spec/tdx/td-params.ts';
import { treeExclusive } from '../../spec/tdx/version.ts';
import {
  listsVersion,
  MODULE_VERSIONS,
  versionData,
  type ModuleVersion,
} from '../../spec/tdx/versions/index.ts';
import { CallExplorer } from '../support/call-explorer.ts';
import { textOf } from '../support/repository.ts';
import { tableIn } from './document.ts';

const FINDINGS = textOf('docs/findings.md');
const [, inKvm = ''] = FINDINGS.split('\n# In KVM');
/** By finding: what the table says of each version. */
const ROWS = tableIn(FINDINGS, 'by version').map(
  ([finding = '', ...cells]) => [finding, cells] as const,
);
const COLUMNS = /^\| by version(.*)\|$/m
  .exec(FINDINGS)?.[1]
  ?.split('|')
  .map((cell) => cell.trim())
  .filter((cell) => cell !== '');
const cellOf = (finding: string, version: string): string =>
  ROWS.find(([name]) => name === finding)?.[1][COLUMNS?.indexOf(version) ?? -1] ?? '';

/** Whether the VMM is stuck with VP.ENTER after it has added the page (F4). */
function staysOut(module: ModuleVersion, attributes: bigint): boolean {
  const explorer = new CallExplorer({ module, params: { attributes } });
  const calls: Call[] = [];
  explorer.rig.tdx.listeners.push({ ended: (call) => calls.push(call) });
  const touches = Array.from({ length: 8 }, () => 'touch 0').join('; ');
  explorer.run(parseScenario(`v0: ${touches} | h0: aug 0 | @v0.6.3>1`));
  expect(calls.some(({ name, status }) => name.endsWith('PAGE.AUG') && status === 0)).toBe(true);
  return calls.at(-1)?.name === 'TDH.VP.ENTER';
}

/** RDX of the exit of an access to a pending page, without #VE. */
function exitOfPendingAccess(module: ModuleVersion): number {
  const { rig } = new CallExplorer({ module, params: { attributes: ATTRIBUTES.SEPT_VE_DISABLE } });
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)) });
  const exit = rig.call('HW.GUEST.ACCESS', { rcx: 0, vcpu: rig.tdvpr(0) });
  expect(exit.exitReason).toBe(48);
  return exit.rdx;
}

test('the table has a column for each version, and a row for each finding about the module', () => {
  expect(COLUMNS).toEqual([...MODULE_VERSIONS.toSorted(), 'recorded']);
  const sections = [...FINDINGS.matchAll(/^## (F\d+): /gm)].map(([, id = '']) => id);
  expect(ROWS.map(([finding]) => finding).toSorted()).toEqual(sections.toSorted());
});

test('a finding about Linux is not applicable to any version of the module', () => {
  const ofLinux = [...inKvm.matchAll(/^## (F\d+): /gm)].map(([, id = '']) => id);
  expect(ofLinux.length).toBeGreaterThan(0);
  for (const finding of ofLinux)
    for (const version of MODULE_VERSIONS)
      expect(cellOf(finding, version)).toBe('not applicable: Linux');
});

test('a finding is present in the versions whose recordings show it', () => {
  for (const [finding] of ROWS)
    for (const version of cellOf(finding, 'recorded').split(', '))
      if (version !== '') expect(cellOf(finding, version), finding).toMatch(/^present/);
});

test('README and the head of findings.md name the last finding', () => {
  const last = ROWS.at(-1)?.[0] ?? '';
  expect(textOf('README.md')).toContain(`(F1–F6, F10–${last})`);
  expect(FINDINGS.slice(0, 300)).toContain(`F10 to ${last})`);
});

test('a finding that a hunt meets is present in the versions whose scenarios show it', () => {
  const hunted = new Map<string, string[]>();
  for (const [finding = '', versions = ''] of tableIn(FINDINGS, 'hunted'))
    hunted.set(finding, [...(hunted.get(finding) ?? []), ...versions.split(', ')]);
  expect(hunted.size).toBeGreaterThan(10);
  for (const [finding, versions] of hunted) {
    for (const version of MODULE_VERSIONS) {
      const isThere = cellOf(finding, version).startsWith('present');
      expect(isThere, `${finding}, ${version}`).toBe(listsVersion(versions, version));
    }
  }
});

/** More than an ACCEPT takes. */
const STEPS_OF_ACCEPT = 12;

/** Whether an ACCEPT succeeds and leaves nothing of a request for priority (F3). */
function erasesPriority(module: ModuleVersion): boolean {
  const explorer = new CallExplorer({ module });
  const { m, tdx } = explorer.rig;
  let wasAsked = false;
  let erased = 0;
  tdx.listeners.push({
    ended: ({ name, entryCell }, status) => {
      const isAsked = entryCell >= 0 && (m.peek(entryCell) & HOST_PRIORITY) !== 0;
      if (name.endsWith('RANGE.BLOCK')) wasAsked = isAsked;
      if (name.endsWith('PAGE.ACCEPT') && status === SUCCESS)
        erased += wasAsked && !isAsked ? 1 : 0;
    },
  });
  for (let step = 0; step < STEPS_OF_ACCEPT; step++) {
    wasAsked = false;
    explorer.run(parseScenario(`h0: aug 0; idle 0; block 0 | v0: accept 0 | @v0.0.${step}>1`));
  }
  return erased > 0;
}

test.each(MODULE_VERSIONS)('F3: a request for priority in %s', (version) => {
  expect(erasesPriority(version)).toBe(cellOf('F3', version) === 'present');
  expect(cellOf('F3', version).startsWith('not applicable')).toBe(
    !versionData(version).hostPriority,
  );
});

test('F3 and F17 are not there in a version whose cause is mended', () => {
  const { septLocks, ...version } = versionData('1.5.05');
  const withoutRequest = { ...septLocks, 'TDH.MEM.RANGE.BLOCK': treeExclusive };
  expect(erasesPriority({ ...version, septLocks: withoutRequest })).toBe(false);
  expect(exitOfPendingAccess({ ...versionData('1.0.03'), reportsPending: true })).toBe(6);
});

test.each(MODULE_VERSIONS)('F4 keeps a vCPU out in %s as the table says', (version) => {
  const { SEPT_VE_DISABLE } = ATTRIBUTES;
  expect([staysOut(version, SEPT_VE_DISABLE), staysOut(version, 0n)]).toEqual([
    true,
    cellOf('F4', version) === 'present',
  ]);
});

test.each(MODULE_VERSIONS)('F17: the exit of an access to a pending page in %s', (version) => {
  expect(exitOfPendingAccess(version) === 0).toBe(cellOf('F17', version) === 'present');
});
