/** Where output goes: results on stdout, progress on stderr and only on a terminal. */
import Table from 'cli-table3';
import pc from 'picocolors';

// Colours are for a terminal that has them. The library's own guess also paints where `CI` is set, and there
// the output is a file that people search.
const colours = pc.createColors(process.stdout.isTTY === true && process.stdout.hasColors());

/** Prints a line of the result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A report as a terminal shows it: the row at which the rule fired stands out. */
export const emphasised = (report: string): string =>
  report
    .split('\n')
    .map((line) => (line.startsWith('!') ? colours.red(line) : line))
    .join('\n');

/** A verdict as a terminal shows it. */
export const painted = (verdict: string): string =>
  verdict === 'passes'
    ? colours.green(verdict)
    : verdict === 'fails'
      ? colours.red(verdict)
      : colours.yellow(verdict);

/** Prints the one object of a `--json` run. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Prints a line about the run, not of its result. */
export function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A plain table: a header, columns padded, no frame. */
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

/** A line on a terminal's stderr that is drawn over itself; nothing anywhere else. */
export class Progress {
  private last = 0;
  private shown = false;
  private readonly terminal = process.stderr.isTTY === true;

  /** `text`, if it is a function, is asked only when it is time to draw. */
  show(text: string | (() => string)): void {
    if (!this.terminal || Date.now() - this.last < REDRAW_MS) return;
    this.last = Date.now();
    this.shown = true;
    const columns = process.stderr.columns ?? 80;
    const line = typeof text === 'string' ? text : text();
    process.stderr.write(`\r\u001B[K${line.slice(0, columns - 1)}`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\u001B[K');
    this.shown = false;
  }
}
