// How Node finds and reads the files that somebody names on the command line, wherever they are.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const HERE = import.meta.url;
/** In a clone, package.json leads to the sources under this condition. */
const CONDITIONS = existsSync(new URL('./main.ts', HERE)) ? ['sept-source'] : [];
const OURS = /^sept-conformance(\/|$)/;
const IN_PACKAGE = /\/node_modules\//;
const MODULE_SYNTAX = /^\s*(import|export)\b/m;

/**
 * `sept-conformance` is always this very package, also for a file in a folder where none is
 * installed, and where another one is: policies and rules share objects with what runs them.
 *
 * TypeScript, and JavaScript that imports or exports, is a module, also where no package.json says
 * "type": "module".
 */
export async function resolve(specifier, context, next) {
  const found = OURS.test(specifier)
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
