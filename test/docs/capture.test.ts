/** The commands of docs/capture.md print what it shows, for a capture and for an altered one. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, LONG, refreshed } from './document.ts';

const DOCUMENT = textOf('docs/capture.md');

/** `zcat FILE | sed FROM,TOd > NAME`, as the document has it. */
function altered(): [name: string, text: string] {
  const [, file = '', from = '', to = '', name = ''] =
    /^zcat (\S+) \| sed (\d+),(\d+)d > (\S+)$/m.exec(DOCUMENT) ?? [];
  const lines = gunzipSync(readFileSync(pathOf(file)))
    .toString('latin1')
    .split('\n');
  return [name, [...lines.slice(0, Number(from) - 1), ...lines.slice(Number(to))].join('\n')];
}

const clone = new Clone([altered()]);
afterAll(() => clone.remove());

test(
  'every console block of capture.md shows what its commands print now',
  { timeout: LONG },
  async () => {
    const { text, unusable } = await refreshed(DOCUMENT, clone);

    expect(unusable.filter((line) => !/: [01] \S+: \d+ lines, of the scenario/.test(line))).toEqual(
      [],
    );
    await expect(text).toMatchFileSnapshot(pathOf('docs/capture.md'));
  },
);
