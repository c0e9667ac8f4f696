/**
 * Reads text and JSON Lines, plain or gzipped, as a stream: a file of any size takes the memory of
 * its longest line.
 */
import { StringDecoder } from 'node:string_decoder';
import { readBytes } from './bytes.ts';
import { InputError } from './input.ts';

/** A parsed line of a file. */
export interface ParsedLine {
  /** `file:line`, for reports. */
  readonly where: string;
  readonly value: unknown;
}

/** Yields every line of `file` that is not blank. @throws InputError that names the invalid line */
export async function* readLines(file: string): AsyncGenerator<ParsedLine> {
  let number = 0;
  for await (const text of textLines(file)) {
    number++;
    if (text.trim() !== '')
      yield { where: `${file}:${number}`, value: parse(text, `${file}:${number}`) };
  }
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const advice = 'give JSON Lines, and check that the file is complete';
    throw new InputError(where, 'not a line of JSON', advice);
  }
}

/** Yields the lines of a text file. @throws InputError if it cannot be read */
export async function* textLines(file: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of readBytes(file)) {
    const text = rest + decoder.write(chunk);
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      yield text.slice(from, to);
      from = to + 1;
    }
    rest = text.slice(from);
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}
