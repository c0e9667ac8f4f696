/** Prints results to stdout, and progress to stderr if that is a terminal. */
import Table from 'cli-table3';
import pc from 'picocolors';

// Colours are for terminals. The library's default also colours output if `CI` is set, where the
// output is a file.
const colours = pc.createColors(process.stdout.isTTY === true && process.stdout.hasColors());

/** Prints a line of the result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Returns a report with the row of the violation in red, on a terminal. */
export const emphasised = (report: string): string =>
  report
    .split('\n')
    .map((line) => (line.startsWith('!') ? colours.red(line) : line))
    .join('\n');

/** Returns a verdict in its colour, on a terminal. */
export const coloured = (verdict: string): string =>
  verdict === 'passes'
    ? colours.green(verdict)
    : verdict === 'fails'
      ? colours.red(verdict)
      : colours.yellow(verdict);

/** Prints the object of `--json`. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Prints a line to stderr. */
export function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Returns a message as one line. */
export const oneLine = (message: string): string => message.trim().replaceAll(/\s*\n\s*/g, ' ');

/** Returns a table with a header and padded columns, without a frame. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const none = '';
  const t = new Table({
    head: [...head],
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: '  ',
    },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  t.push(...rows.map((row) => row.map(String)));
  return t
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const REDRAW_MS = 100;

/** A line on stderr that is redrawn, if stderr is a terminal. */
export class Progress {
  private last = 0;
  private shown = false;
  private readonly terminal = process.stderr.isTTY === true;

  /** Redraws the line at most every {@link REDRAW_MS}. Calls a function only if it redraws. */
  show(text: string | (() => string)): void {
    if (!this.terminal || Date.now() - this.last < REDRAW_MS) return;
    this.last = Date.now();
    this.shown = true;
    const columns = process.stderr.columns ?? 80;
    const line = typeof text === 'string' ? text : text();
    process.stderr.write(`\r\u001B[K${line.slice(0, columns - 1)}`);
  }

  /** Erases the line. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\u001B[K');
    this.shown = false;
  }
}
