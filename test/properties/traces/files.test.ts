/** Traces in files: damaged ones, several of one capture, and those of other tools. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { TraceEvent } from '../../../properties/traces/reader/event.ts';
import { asPerf, asTraceCmd } from './as-recorded.ts';
import { ownLines } from './captures.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-files-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const written = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

const LINES = ownLines('linux-7.3.4-memslot-delete').filter((line) => line !== '');
const TEXT = `${LINES.join('\n')}\n`;

describe('of one capture', () => {
  const head = LINES.filter((line) => line.startsWith('#'));
  const ofCpu = (cpu: string, lines = LINES): string =>
    [...head, ...lines.filter((line) => line.includes(`[${cpu}]`))].join('\n');

  test('judgeTraceFile merges the files of CPUs into the capture that they are of', async () => {
    const files = ['000', '001'].map((cpu) => written(`cpu${cpu}`, `${ofCpu(cpu)}\n`));
    const merged = await judgeTraceFile(files, {});
    const { lines, reading, ...whole } = await judgeTraceFile(written('whole', TEXT), {});

    expect(merged).toMatchObject({ ...whole, reading: { ...reading, byCpu: false } });
    expect(merged.lines).toBe(lines + head.length);
    expect(reading).toMatchObject({ cpus: 2, cpu: null });
  });

  test('judgeTraceFile merges files that are read in many pieces', async () => {
    const files = Array.from({ length: 500 }, (_, i) =>
      written(`part${i}`, LINES.filter((_line, at) => at % 500 === i).join('\n') + '\n'),
    );
    const { violated, reading, events } = await judgeTraceFile(files, {});

    expect({ violated, events }).toEqual({ violated: 0, events: LINES.length - head.length });
    expect(reading.backwards.times).toBe(0);
  });

  test('judgeTraceFile keeps a mark of lost events before the next event of its CPU', async () => {
    const line = (cpu: number, time: number): string =>
      `    kw-${cpu + 1}    [00${cpu}] .....  ${time}: ru: (f+0x4/0x30) lock=0x1`;
    const one = written('one', [line(0, 1), line(0, 4), ''].join('\n'));
    const other = written(
      'other',
      [line(1, 2), 'CPU:1 [LOST 7 EVENTS]', line(1, 9), 'CPU:1 [LOST EVENTS]', ''].join('\n'),
    );
    const verdict = await judgeTraceFile([one, other], {});

    expect(verdict).toMatchObject({ events: 4, lost: 2, reading: { lostEvents: 7 } });
    expect(verdict.reading.backwards.times).toBe(0);
  });

  test('judgeTraceFile says where a file of several has no end', async () => {
    const files = ['000', '001'].map((cpu) => written(`cut${cpu}`, ofCpu(cpu)));
    expect((await judgeTraceFile(files, {})).reading.cut).toBe(true);
  });
});

describe('damaged', () => {
  test('judgeTraceFile judges gzip data up to where it ends too early', async () => {
    const packed = gzipSync(TEXT);
    const { events, reading, violated } = await judgeTraceFile(
      written('cut.gz', packed.subarray(0, packed.length / 2)),
      {},
    );
    expect(events).toBeGreaterThan(LINES.length / 4);
    expect({ violated, damaged: reading.damaged }).toEqual({
      violated: 0,
      damaged: 'the gzip data ends too early',
    });
  });

  test('judgeTraceFile does not read a last line without a newline', async () => {
    const { events, reading } = await judgeTraceFile(written('cut', TEXT.slice(0, -2)), {});
    const whole = await judgeTraceFile(written('whole', TEXT), {});
    expect([events, reading.cut, whole.events, whole.reading.cut]).toEqual([
      LINES.length - 13,
      true,
      LINES.length - 12,
      false,
    ]);
  });

  test('judgeTraceFile passes over a line that no trace has, however long it is', async () => {
    const long = `${'x'.repeat(5 << 20)}\n${LINES.at(-1)}\n`;
    expect(await judgeTraceFile(written('long', long), {})).toMatchObject({
      events: 1,
      lines: 2,
      unreadable: 1,
    });
  });

  const MARKS = ['CPU:1 [LOST 3 EVENTS]', '##### CPU 0 buffer started ####'];
  const SAMPLES = [LINES, asTraceCmd(LINES), asPerf(LINES)].map((lines) =>
    Buffer.from([...lines.slice(0, 40), ...MARKS, ...lines.slice(-200), ''].join('\n')),
  );

  test('judgeTraceFile judges a capture that is cut or altered at any byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...SAMPLES),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 30 }),
        async (sample, part, edits) => {
          const bytes = Buffer.from(sample.subarray(0, Math.ceil(sample.length * part)));
          for (const [at, value] of edits) if (bytes.length > 0) bytes[at % bytes.length] = value;
          const file = written('fuzzed', Buffer.concat([bytes, sample.subarray(-400)]));
          const { lines, events, unreadable, lost, reading } = await judgeTraceFile(file, {});
          const kinds = lineKinds(Buffer.concat([bytes, sample.subarray(-400)]));

          expect({ lines, unreadable, lost }).toEqual({
            lines: kinds.length,
            unreadable: kinds.filter((kind) => kind === 'unreadable').length,
            lost: kinds.filter((kind) => kind === 'lost').length,
          });
          expect(events).toBeGreaterThan(0);
          expect(reading.cut).toBe(false);
        },
      ),
      { seed: 1, numRuns: 150 },
    );
  }, 60_000);

  /** The kind of each line. */
  function lineKinds(bytes: Buffer): string[] {
    const e = new TraceEvent();
    return bytes
      .toString('latin1')
      .split('\n')
      .slice(0, -1)
      .map((line) => e.read(Buffer.from(line, 'latin1'), 0, line.length, 1));
  }
});

describe('of other tools', () => {
  const TRACE_DAT = Buffer.from('\u{17}\u{8}\u{44}tracing6\0', 'latin1');
  const PERF_DATA = Buffer.from('PERFILE2h\0\0\0', 'latin1');

  /** Runs `body` with a tool of that name that runs a script. */
  async function withTool<T>(name: string, script: string, body: () => Promise<T>): Promise<T> {
    const tools = mkdtempSync(join(folder, 'tools-'));
    writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(tools, name), 0o755);
    const before = process.env['PATH'];
    process.env['PATH'] = `${tools}${delimiter}/usr/bin${delimiter}/bin`;
    try {
      return await body();
    } finally {
      process.env['PATH'] = before;
    }
  }

  test.each([
    ['trace-cmd', TRACE_DAT, asTraceCmd, '[ "$*" = "report -l -i FILE" ]'],
    [
      'perf',
      PERF_DATA,
      asPerf,
      '[ "$*" = "script --ns --show-lost-events -F comm,tid,cpu,time,event,trace -i FILE" ]',
    ],
  ])('judgeTraceFile judges what %s prints of its file', async (tool, magic, print, given) => {
    const file = written(`${tool}.data`, magic);
    const text = written(`${tool}.txt`, `${print(LINES).join('\n')}\n`);
    const script = `${given.replace('FILE', file)} && cat ${text}`;
    const { events, kernel } = await withTool(tool, script, () => judgeTraceFile(file, {}));
    expect({ events, kernel }).toEqual({ events: LINES.length - 12, kernel: '7.3' });
  });

  test('judgeTraceFile says in one line why a tool cannot print its file', async () => {
    const file = written('trace.dat', TRACE_DAT);
    const judged = (): Promise<unknown> => judgeTraceFile(file, {});
    await expect(
      withTool('trace-cmd', 'echo "no such version" >&2; exit 1', judged),
    ).rejects.toThrow(
      `${file}: trace-cmd cannot print it: no such version; try: trace-cmd report -l -i ${file}`,
    );
    await expect(withTool('trace-cmd', 'exit 0', judged)).rejects.toThrow('it prints nothing');
  });

  test('judgeTraceFile says what to run where the tool of a file is missing', async () => {
    const file = written('perf.data', PERF_DATA);
    const before = process.env['PATH'];
    process.env['PATH'] = folder;
    try {
      await expect(judgeTraceFile(file, {})).rejects.toThrow(
        `${file}: a file of perf, which is not installed here; where it is, run: perf script ` +
          `--ns --show-lost-events -F comm,tid,cpu,time,event,trace -i ${file} > trace.txt`,
      );
    } finally {
      process.env['PATH'] = before;
    }
  });

  test.each([
    ['xz', Buffer.from('\u{FD}7zXZ\0', 'latin1'), 'xz -d'],
    ['zstd', Buffer.from('(\u{B5}/\u{FD}', 'latin1'), 'zstd -d'],
    ['bzip2', Buffer.from('BZh9'), 'bzip2 -d'],
    ['lz4', Buffer.from('\u{4}"M\u{18}', 'latin1'), 'lz4 -d'],
  ])(
    'judgeTraceFile says how to unpack a file that %s has compressed',
    async (name, magic, command) => {
      const file = written(`trace.${name}`, magic);
      await expect(judgeTraceFile(file, {})).rejects.toThrow(
        `${file}: compressed by ${name}; unpack it: ${command} ${file}`,
      );
    },
  );
});

test('judgeTraceFile ends a trace early when it is aborted', async () => {
  const file = written('whole', TEXT.repeat(40));
  const stopped = new AbortController();
  const verdict = await judgeTraceFile(file, {}, () => stopped.abort(), stopped.signal);

  expect(verdict.events).toBeGreaterThan(0);
  expect(verdict.lines).toBeLessThan(LINES.length * 40);
});
