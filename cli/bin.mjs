#!/usr/bin/env node
// The command as it is installed: JavaScript in a package, the sources in a clone. Files that somebody names on the
// command line may be TypeScript either way.
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { register as registerTsx } from 'tsx/esm/api';

registerTsx();
register('./hooks.mjs', import.meta.url);
// a reader that has seen enough (`| head`) is no error
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
const sources = new URL('./main.ts', import.meta.url);
try {
  const { main } = await import(existsSync(sources) ? sources.href : '../dist/cli/main.js');
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // the rules are found while the command is loaded, before it can say itself what is wrong with one
  if (error?.name !== 'NoRule') throw error;
  process.stderr.write(`sept: ${error.message}\n`);
  process.exitCode = 2;
}
