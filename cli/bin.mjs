#!/usr/bin/env node
// The installed command: it runs JavaScript in a package, and the sources in a clone. Files named
// on the command line may be TypeScript in both cases.
import { existsSync } from 'node:fs';
import { register } from 'node:module';

try {
  process.cwd();
} catch {
  process.stderr.write('sept: the working directory was removed; change to another\n');
  process.exit(2);
}
// tsx looks at the working directory when it is loaded
const { register: registerTsx } = await import('tsx/esm/api');
registerTsx();
register('./hooks.mjs', import.meta.url);
// a reader that closes the pipe (`| head`) is no error
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
const sources = new URL('./main.ts', import.meta.url);
try {
  const { main } = await import(existsSync(sources) ? sources.href : '../dist/cli/main.js');
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // rules are found while the command is loaded, before main() can report what is wrong with one
  if (error?.name !== 'NoRule') throw error;
  process.stderr.write(`sept: ${error.message}\n`);
  process.exitCode = 2;
}
