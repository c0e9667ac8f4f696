/** docs/module-versions.md is what its generator writes. */
import { expect, test } from 'vitest';
import { markdownOfVersions } from '../../properties/module/versions/document.ts';
import { WHAT_IF_VERSIONS, versionData } from '../../spec/tdx/versions/index.ts';
import { textOf } from '../support/repository.ts';

test('docs/module-versions.md is what npm run docs -- module-versions writes now', () => {
  expect(textOf('docs/module-versions.md')).toBe(`${markdownOfVersions()}\n`);
});

test('two versions that differ in one feature differ in its field and function alone', () => {
  const [base, other] = [versionData('1.5.05'), versionData('uninterruptible-demote')];
  expect(WHAT_IF_VERSIONS).toContain(other.name);
  const text = markdownOfVersions([base, other]);
  expect(text.slice(text.indexOf('Fields that'), text.indexOf('## By topic'))).toBe(
    [
      'Fields that change from 1.5.05 to uninterruptible-demote:',
      '',
      '- Interrupts: `interruptible`',
      '',
      'Functions that change:',
      '',
      '- interrupt: PAGE.DEMOTE',
      '',
      '',
    ].join('\n'),
  );
});
