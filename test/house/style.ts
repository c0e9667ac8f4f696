/**
 * The part of STYLE.md that a program can check. Each check lists the places in a text that break
 * it, as `line: what is wrong`.
 */

import { tableIn } from '../docs/document.ts';
import { textOf } from '../support/repository.ts';

const termsIn = (head: string): string[] =>
  tableIn(textOf('STYLE.md'), head).flatMap(([cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, term = '']) => term),
  );

/** The terms that STYLE.md avoids, and the words that it avoids in the names of files. */
export const AVOIDED_WORDS = termsIn('avoid');
export const AVOIDED_NAMES = termsIn('name to avoid');

const MAX_COLUMNS = 100;
export const MAX_FUNCTION_LINES = 70;
export const MAX_FILE_LINES = 300;

/** Separates the words of a phrase: spaces, or the beginning of the next line of a comment. */
const BETWEEN_WORDS = String.raw`[\s*/]+`;

/** A term as a pattern; one that begins in lower case also matches with a capital. */
function patternOf(term: string): string {
  const first = term.charAt(0);
  const head = /[a-z]/.test(first) ? `[${first}${first.toUpperCase()}]` : first;
  return head + term.slice(1).replaceAll(' ', BETWEEN_WORDS);
}

/** Reason on the line of a word that is a format's own: nothing can be done about it. */
const AS_SPELT = 'as recordings spell it';

/** The terms that occur in a text as whole words. */
export function avoidedWords(text: string, terms: readonly string[]): string[] {
  const any = terms.map(patternOf).join('|');
  const lines = text.split('\n');
  return [...text.matchAll(new RegExp(String.raw`(?<![\w-])(?:${any})(?![\w-])`, 'g'))]
    .map(({ 0: found, index }) => ({ found, line: text.slice(0, index).split('\n').length }))
    .filter(({ line }) => lines[line - 1]?.includes(AS_SPELT) !== true)
    .map(({ found, line }) => `${line}: ${found.replaceAll(/[\s*/]+/g, ' ')}`);
}

/** Lines that are too wide, of those that `isExempt` does not excuse. */
function wide(text: string, isExempt: (line: string) => boolean): string[] {
  return text.split('\n').flatMap((line, i) => {
    const exempt = isExempt(line) || line.includes('://');
    return exempt || [...line].length <= MAX_COLUMNS ? [] : [`${i + 1}: ${[...line].length} wide`];
  });
}

/**
 * Lines of TypeScript that are too wide. Lines inside a template literal are verbatim, and an
 * import of one name cannot be broken.
 */
export function wideCode(text: string): string[] {
  let inside = false;
  return wide(text, (line) => {
    const was = inside;
    if ((line.match(/(?<!\\)`/g) ?? []).length % 2 === 1) inside = !inside;
    return was || /^import .* from '.*';$/.test(line);
  });
}

/** Lines of Markdown prose that are too wide: tables and fenced blocks are excepted. */
export function wideProse(text: string): string[] {
  let fenced = false;
  return wide(text, (line) => {
    if (line.trimStart().startsWith('```')) fenced = !fenced;
    return fenced || line.startsWith('|');
  });
}

/** Markdown without its code spans, line by line as it was. */
export const withoutCode = (text: string): string => text.replaceAll(/`[^`\n]+`/g, '``');

/** Whether a line begins a function: it ends in `{` and is no statement or class. */
const isFunction = (line: string): boolean =>
  (/(=>|\)(: .+)?) \{$/.test(line) || /\bfunction\b.*\{$/.test(line)) &&
  !/^\s*(\} )?(if|for|while|switch|catch|else|do|try)\b/.test(line);

const indentOf = (line: string): number => line.length - line.trimStart().length;

/** The first line of the statement that a line is part of. */
function headOf(lines: readonly string[], at: number): string {
  let i = at;
  let line = lines[i] ?? '';
  while (i > 0 && /^\s*([\])('"`]|async \()/.test(line)) {
    const most = /^\s*[\])]/.test(line) ? indentOf(line) : indentOf(line) - 1;
    do line = lines[--i] ?? '';
    while (i > 0 && (line === '' || indentOf(line) > most));
  }
  return line;
}

/** Functions that are too long, in code that the formatter has indented; a `describe` is none. */
export function longFunctions(text: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, start) => {
    if (!isFunction(line) || /^\s*describe\b/.test(headOf(lines, start))) return [];
    const end = `${' '.repeat(indentOf(line))}}`;
    const length = lines.slice(start).findIndex((later) => later.startsWith(end)) + 1;
    return length > MAX_FUNCTION_LINES ? [`${start + 1}: a function of ${length} lines`] : [];
  });
}

/** Whether a source file's name is made of words in small letters, with versions as they are. */
export const isKebabCase = (name: string): boolean =>
  /^[a-z0-9]+(\.\d+)*(-[a-z0-9]+(\.\d+)*)*(\.(test|config))?\.(ts|mjs|sh)$/.test(name);

/** Notes of work that is left. */
export const notes = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, i) =>
      /\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b/.test(line) ? [`${i + 1}: ${line}`] : [],
    );
