/** The checks of style, on small samples: each has to be able to fail. */
import { expect, test } from 'vitest';
import { wordsOf } from './lexer.ts';
import {
  AVOIDED_NAMES,
  AVOIDED_WORDS,
  avoidedWords,
  isKebabCase,
  longFunctions,
  MAX_FUNCTION_LINES,
  notes,
  wideCode,
  wideProse,
} from './style.ts';

const [word = ''] = AVOIDED_WORDS;
const phrase = AVOIDED_WORDS.find((term) => term.includes(' ')) ?? '';
const lines = (count: number): string => 'x();\n'.repeat(count);

test('STYLE.md has words to avoid, of one word and of many', () => {
  expect(AVOIDED_WORDS.length).toBeGreaterThan(20);
  expect(AVOIDED_NAMES.length).toBeGreaterThan(5);
  expect(phrase).not.toBe('');
});

test('an avoided word is found with its line, also with a capital or over two lines', () => {
  const capital = word.charAt(0).toUpperCase() + word.slice(1);
  expect(avoidedWords(`a\nthe task ${word} waits`, AVOIDED_WORDS)).toEqual([`2: ${word}`]);
  expect(avoidedWords(`${capital} waits`, AVOIDED_WORDS)).toEqual([`1: ${capital}`]);
  expect(
    avoidedWords(`/**\n * It is ${phrase.replaceAll(' ', '\n * ')}. */`, AVOIDED_WORDS),
  ).toEqual([`2: ${phrase}`]);
  expect(avoidedWords(`${word}le, a-${word}, x${word}, \`vCPU\``, AVOIDED_WORDS)).toEqual([]);
});

test('a word that a format spells so is excused by a reason on its line', () => {
  expect(avoidedWords(`'${word}'; // as recordings spell it\n'${word}'`, AVOIDED_WORDS)).toEqual([
    `2: ${word}`,
  ]);
});

test('words are comments, strings, templates and regular expressions, where they are', () => {
  const source = [
    "const a = b / c; // it's here",
    "f(`to ${x + g({ b: 'up' })} end`, /[/'`]/, 'it\\'s');",
    'function f() { return /"/.test("x") ? 1 : 2; }',
  ].join('\n');
  const words = wordsOf(source);
  expect(words.split('\n').map((line) => line.trim().split(/ +/))).toEqual([
    ['//', "it's", 'here'],
    ['to', "'up'", 'end', "/[/'`]/", "'it\\'s'"],
    ['/"/', '"x"'],
  ]);
  expect(words.indexOf('end')).toBe(source.indexOf('end'));
});

test('a wide line is found, but not in a table, a fence, or verbatim text', () => {
  const long = 'x'.repeat(101);
  expect(wideCode(`const a = 1;\n// ${long}`)).toEqual(['2: 104 wide']);
  expect(wideCode(`const text = \`\n${long}\n\`;\n${long}`)).toEqual(['4: 101 wide']);
  expect(wideCode(`// https://example.org/${long}`)).toEqual([]);
  expect(wideProse(`${long}\n| ${long} |\n\`\`\`console\n${long}\n\`\`\`\n`)).toEqual([
    '1: 101 wide',
  ]);
  expect(wideCode('µ'.repeat(100))).toEqual([]);
});

test.each([
  'function f(): void {',
  'export const f = (a: number): void => {',
  '  *run(tdx, call) {',
  "  test('a title', () => {",
])('a long function that begins with `%s` is found', (head) => {
  const indent = /^ */.exec(head)?.[0] ?? '';
  const text = (count: number): string => `${head}\n${lines(count)}${indent}}`;
  expect(longFunctions(text(MAX_FUNCTION_LINES - 2))).toEqual([]);
  expect(longFunctions(text(MAX_FUNCTION_LINES - 1))).toEqual(['1: a function of 71 lines']);
});

test.each([
  "describe('what', () => {",
  "describe.each([\n  'a',\n  'b',\n] as const)('a %s', (name) => {",
  "describe.each(NAMES)(\n  'a %s',\n  (name) => {",
  'if (a) {',
  'class A {',
])('what begins with %s is no long function', (head) => {
  const indent = ' '.repeat(head.endsWith('\n  (name) => {') ? 2 : 0);
  expect(longFunctions(`${head}\n${lines(80)}${indent}}`)).toEqual([]);
});

test.each([
  ['frozen-mirror.ts', true],
  ['upstream-6.16.ts', true],
  ['check.test.ts', true],
  ['frozenMirror.ts', false],
  ['frozen_mirror.ts', false],
  ['Frozen.ts', false],
])('the name %s is kebab-case: %s', (name, expected) => {
  expect(isKebabCase(name)).toBe(expected);
});

test('a note is found', () => {
  expect(notes(`a();\n// ${'TO'}DO: later`)).toEqual([`2: // ${'TO'}DO: later`]);
});
