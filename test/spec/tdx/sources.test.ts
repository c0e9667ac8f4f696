/** Every interface function and T rule cites sources that exist (docs/sources.md). */
import { expect, test } from 'vitest';
import { FUNCTIONS } from '../../../spec/tdx/functions/index.ts';
import { TDX_RULES } from '../../../spec/tdx/rules/index.ts';
import { filesBelow, textOf } from '../../support/repository.ts';

/** The citation of a function: its leaf, and the file and function of the module. */
const SOURCE = new RegExp(
  String.raw`Source: ABI Reference 348551, (\S+) leaf \(((?:TDCALL )?leaf \d+)\); ` +
    String.raw`intel/tdx-module 1\.5\.01, \S+\.c: \w+\(\)`,
);

/** The text without the line breaks of comments. */
const proseOf = (file: string): string => textOf(file).replaceAll(/\s+(?:\* )?/g, ' ');

/** Leaf number by `SEAMCALL` or `TDCALL` function, as the headers cite it. */
function citedLeaves(): Map<string, string> {
  const leaves = new Map<string, string>();
  for (const file of filesBelow(['spec/tdx/functions', 'spec/tdx/guest'], '.ts')) {
    const header = /^\/\*\*[\s\S]*?\*\//.exec(textOf(file))?.[0] ?? '';
    const prose = header.replaceAll(/\s+\* /g, ' ');
    const [, name = '', leaf = ''] = SOURCE.exec(prose) ?? [];
    if (name !== '') leaves.set(name, leaf);
  }
  return leaves;
}

test('the header of each interface function cites its leaf and its source file', () => {
  const leaves = citedLeaves();
  const expected = [...FUNCTIONS.keys()].filter((name) => name !== 'HW.GUEST.ACCESS');
  expect([...leaves.keys()].toSorted()).toEqual(expected.toSorted());
  expect(new Set(leaves.values()).size, 'no two functions have one leaf').toBe(leaves.size);
});

test('each T rule cites the source of the module', () => {
  const modules = /intel\/tdx-module (1\.5\.01|1\.5\.25), /;
  for (const { id, source } of TDX_RULES) expect(source, id).toMatch(modules);
});

test('each citation of the module notes names a section of them', () => {
  const headings = textOf('docs/module-notes.md').matchAll(/^#+ (.+)$/gm);
  const anchors = new Set(
    [...headings].map(([, heading = '']) =>
      heading.toLowerCase().replaceAll('.', '').replaceAll(' ', '-'),
    ),
  );
  const files = filesBelow(['spec', 'impl', 'properties', 'test'], '.ts');
  const cited = [...files, 'docs/findings.md']
    .flatMap((file) => [...proseOf(file).matchAll(/module-notes\.md#([a-z0-9-]+)/g)])
    .map(([, anchor = '']) => anchor);
  expect(cited.length).toBeGreaterThan(20);
  expect(cited.filter((anchor) => !anchors.has(anchor))).toEqual([]);
});
