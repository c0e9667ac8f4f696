/** Nothing is exported, kept in a file or listed in package.json that nothing uses. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';

const run = promisify(execFile);

/** The output of knip in a folder, which is empty if everything is used. */
async function unusedIn(folder: string): Promise<string> {
  const knip = pathOf('node_modules/knip/bin/knip.js');
  // it exits with 1 if it found something
  const { stdout } = await run(process.execPath, [knip, '--no-progress'], { cwd: folder }).catch(
    (error: { readonly stdout: string }) => error,
  );
  return stdout;
}

test('every export, file and dependency is used', async () => {
  expect(await unusedIn(pathOf(''))).toBe('');
});

test('an export that no file imports is found', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sept-unused-'));
  const files = {
    'package.json': '{ "name": "sample", "type": "module", "main": "index.js" }',
    'index.js': "import { used } from './other.js';\nused();\n",
    'other.js': 'export const used = () => {};\nexport const idle = 1;\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  try {
    expect(await unusedIn(folder)).toContain('idle');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
