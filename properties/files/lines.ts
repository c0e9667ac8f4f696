/**
 * JSON Lines, plain or gzipped, as a stream: a recording of any size costs the memory of its
 * longest line.
 */
import { StringDecoder } from 'node:string_decoder';
import { readBytes } from './bytes.ts';
import { InputError } from './input.ts';

/** A line of a file that is not blank, parsed. */
export interface ParsedLine {
  /** `file:line`, for reports. */
  readonly where: string;
  readonly value: unknown;
}

/** Every line of `file` that is not blank. Throws an InputError that names the line. */
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
    const advice = 'give JSON Lines, one scenario a line, from a file that is whole';
    throw new InputError(where, 'not a line of JSON', advice);
  }
}

/** The lines of a text file, plain or gzipped. Throws an InputError when it cannot be read. */
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
