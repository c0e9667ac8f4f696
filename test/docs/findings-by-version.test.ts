/** docs/findings.md: which version of the module has which finding. */
import { expect, test } from 'vitest';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { ATTRIBUTES } from '../../spec/tdx/td-params.ts';
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
  expect(COLUMNS).toEqual(MODULE_VERSIONS.toSorted());
  const linux = ['F7', 'F8', 'F9'];
  const sections = [...FINDINGS.matchAll(/^## (F\d+): /gm)].map(([, id = '']) => id);
  expect(ROWS.map(([finding]) => finding)).toEqual(sections.filter((id) => !linux.includes(id)));
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

test.each(MODULE_VERSIONS)('F3 is present in %s if it has host priority', (version) => {
  const expected = versionData(version).hostPriority ? 'present' : 'not applicable';
  expect(cellOf('F3', version)).toMatch(new RegExp(`^${expected}`));
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
