/** Objects from outside: their members, the kinds of values in words, and misspelt names. */
import { nearly } from './did-you-mean.ts';

/** Members of an object and of its classes; a spread would lose the methods. */
export function membersOf(value: object): Readonly<Record<string, unknown>> {
  const parent: unknown = Object.getPrototypeOf(value);
  const inherited =
    typeof parent === 'object' && parent !== null && parent !== Object.prototype
      ? membersOf(parent)
      : {};
  const names = Object.getOwnPropertyNames(value).filter((name) => name !== 'constructor');
  // read from `value`, so that a getter sees its object
  return {
    ...inherited,
    ...Object.fromEntries(names.map((name) => [name, Reflect.get(value, name)])),
  };
}

/** The class of a built-in object, of whichever realm, e.g. `[object Map]`. */
export const tagOf = (value: unknown): string => Object.prototype.toString.call(value);

/** The kind of a value in words. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : (TAGS[tagOf(value)] ?? KINDS[typeof value] ?? typeof value);

const TAGS: Readonly<Record<string, string>> = {
  '[object Array]': 'a list',
  '[object Map]': 'a map',
  '[object Set]': 'a set',
};

const KINDS: Readonly<Record<string, string>> = {
  function: 'a function',
  object: 'an object',
  string: 'a text',
  number: 'a number',
  bigint: 'a bigint',
  boolean: 'true or false',
  undefined: 'undefined',
};

/** The name among `known` that a misspelt one means, or undefined. */
export const meantBy = (name: string, known: Iterable<string>): string | undefined =>
  [...known].find((other) => nearly(name, other));
