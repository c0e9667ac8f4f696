// Module hooks for the files named on the command line, in whichever folder they are.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const HERE = import.meta.url;
/** In a clone, package.json resolves to the sources under this condition. */
const CONDITIONS = existsSync(new URL('./main.ts', HERE)) ? ['sept-source'] : [];
const THIS_PACKAGE = /^sept-conformance(\/|$)/;
const IN_PACKAGE = /\/node_modules\//;
const MODULE_SYNTAX = /^\s*(import|export)\b/m;

/**
 * Resolves `sept-conformance` to this package, also for a file in a folder without it or with
 * another copy: policies and rules share objects with the checker.
 *
 * TypeScript files, and JavaScript files with imports or exports, are modules, even without "type":
 * "module" in a package.json.
 */
export async function resolve(specifier, context, next) {
  const found = THIS_PACKAGE.test(specifier)
    ? await next(specifier, {
        ...context,
        parentURL: HERE,
        conditions: [...context.conditions, ...CONDITIONS],
      })
    : await next(specifier, context);
  return found.format === 'commonjs' && (await isModule(found.url))
    ? { ...found, format: 'module' }
    : found;
}

async function isModule(url) {
  const { protocol, pathname } = new URL(url);
  if (protocol !== 'file:' || IN_PACKAGE.test(pathname)) return false;
  if (pathname.endsWith('.ts')) return true;
  return (
    pathname.endsWith('.js') &&
    MODULE_SYNTAX.test(await readFile(new URL(url.split('?')[0]), 'utf8').catch(() => ''))
  );
}
