/** Finds the words of a source file: comments, strings and regular expressions, without code. */

const COMMENT = String.raw`\/\/.*|\/\*[\s\S]*?\*\/`;
const STRING = String.raw`'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"`;
const REGEX = String.raw`\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/`;
/** An operand and the `/` that divides it, which begins no regular expression. */
const DIVISION = String.raw`(?!return\b|case\b)[\w$)\]]+\s*\/(?![/*])`;
const TOKEN = new RegExp(`${COMMENT}|${STRING}|${REGEX}|${DIVISION}|[\\w$]+|[^]`, 'y');
const IS_WORDS = new RegExp(`^(?:${COMMENT}|${STRING}|${REGEX})$`);
/** The text of a template literal, up to its end or to the code in it. */
const TEMPLATE = /(?:\\[^]|\$(?!\{)|[^`\\$])*/y;

const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ');

/** A source text with its code replaced by spaces; words keep their lines and columns. */
export function wordsOf(source: string): string {
  let words = '';
  /** Open braces in the code of each template literal around this place. */
  const depths: number[] = [];

  const next = (pattern: RegExp): string => {
    pattern.lastIndex = words.length;
    return pattern.exec(source)?.[0] ?? '';
  };
  const template = (): void => {
    words += next(TEMPLATE);
    const hasCode = source.startsWith('${', words.length);
    if (hasCode) depths.push(0);
    words += hasCode ? '  ' : ' ';
  };

  while (words.length < source.length) {
    const token = next(TOKEN);
    words += IS_WORDS.test(token) ? token : blank(token);
    const depth = depths.pop();
    if (depth !== undefined && (token !== '}' || depth > 0))
      depths.push(depth + Number(token === '{') - Number(token === '}'));
    if (token === '`' || (token === '}' && depth === 0)) template();
  }
  return words;
}
