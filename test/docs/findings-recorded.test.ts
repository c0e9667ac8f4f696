/** docs/findings.md: recordings of the real modules show the findings that it says they show. */
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { readLines, type ParsedLine } from '../../properties/files/lines.ts';
import { HistoryJudge } from '../../properties/module/recordings/concurrent/judge.ts';
import { RECORDED_MODULES, testWith } from '../properties/module/recordings/recorded.ts';
import { textOf } from '../support/repository.ts';
import { tableIn } from './document.ts';

/** By finding: the versions whose recordings show it. */
const RECORDED = new Map(
  tableIn(textOf('docs/findings.md'), 'by version').map(([id = '', ...cells]) => [
    id,
    (cells.at(-1) ?? '').split(', '),
  ]),
);

/** Whether a recording shows a finding. */
type Shows = (path: string) => Promise<boolean>;

/** Whether a line of a recording does. */
const someLine =
  (isEvidence: (line: ParsedLine) => boolean): Shows =>
  async (path) => {
    for await (const line of readLines(path)) if (isEvidence(line)) return true;
    return false;
  };

/** A row of `stepwise.jsonl`. */
interface StepRow {
  readonly x: string;
  readonly y: string;
  readonly yStatus?: string;
  readonly linearizable?: boolean;
}
const stepRow = (isEvidence: (row: StepRow) => boolean): Shows =>
  someLine(({ value }) => isEvidence(value as StepRow));

/** A scenario of `sequential.jsonl`. */
interface Sequence {
  readonly steps: readonly {
    readonly op: string;
    readonly result: string;
    readonly out: { readonly rdx?: string };
    readonly septBefore?: { readonly state?: string };
  }[];
}

/** A history of `concurrent.jsonl`. */
interface History {
  readonly events: readonly {
    readonly op: string;
    readonly status: string;
    readonly statusName: string;
    readonly in: { readonly level?: number };
  }[];
}

/** `conflicts.json`, as far as it is about host priority. */
interface Conflicts {
  readonly experiments?: readonly {
    readonly sequence: readonly {
      readonly op: string;
      readonly status: string;
      readonly hpBit?: number;
    }[];
  }[];
}

/** `locks.json`. */
interface Locks {
  readonly functions: readonly {
    readonly function: string;
    readonly events: readonly { readonly event: string; readonly lock: string }[];
  }[];
}

const json =
  <T>(isEvidence: (value: T) => boolean): Shows =>
  async (path) =>
    isEvidence(JSON.parse(readFileSync(path, 'utf8')) as T);

/** A request for priority is there, and gone when an ACCEPT has succeeded. */
const losesPriority = ({ experiments = [] }: Conflicts): boolean =>
  experiments.some(({ sequence }) =>
    sequence.some(
      ({ op, status, hpBit }, i) =>
        op === ACCEPT && status === 'TDX_SUCCESS' && hpBit === 0 && sequence[i - 1]?.hpBit === 1,
    ),
  );

const TDR = 'PAMT_4K[TDR0]';
const TREE = 'TD0.SEPT_TREE';

/** An access to memory releases one lock before another one. */
const releasesFirst =
  (first: string, second: string) =>
  ({ functions }: Locks): boolean =>
    functions.some(({ function: name, events }) => {
      const released = events.filter(({ event }) => event === 'release').map(({ lock }) => lock);
      const at = released.indexOf(first);
      return name === 'TDH.MEM.RD' && at >= 0 && at < released.indexOf(second);
    });

const ACCEPT = 'TDG.MEM.PAGE.ACCEPT';
const judge = new HistoryJudge();

/** A history with an ACCEPT that reports the level that it asked for, and the judge's finding. */
function isWrongSize(line: ParsedLine): boolean {
  const { events } = line.value as History;
  const isSuspect = events.some(
    ({ op, status, statusName, in: { level } }) =>
      op === ACCEPT && statusName === 'TDX_PAGE_SIZE_MISMATCH' && Number(status.at(-1)) === level,
  );
  return isSuspect && judge.line(line).finding === 'F1';
}

const EVIDENCE: readonly (readonly [finding: string, file: string, shows: Shows])[] = [
  ['F1', 'concurrent.jsonl.gz', someLine(isWrongSize)],
  [
    'F2',
    'stepwise.jsonl.gz',
    stepRow(
      ({ x, yStatus }) => x === 'TDH.MEM.PAGE.AUG' && yStatus?.startsWith('MODULE_HALT') === true,
    ),
  ],
  ['F3', 'conflicts.json', json(losesPriority)],
  [
    'F5',
    'stepwise.jsonl.gz',
    stepRow(({ x, linearizable }) => x === 'TDH.MEM.PAGE.PROMOTE' && linearizable === false),
  ],
  [
    'F12',
    'stepwise.jsonl.gz',
    stepRow(
      ({ y, yStatus, linearizable }) =>
        y === 'TDH.VP.ENTER' && yStatus === 'TDX_VCPU_ASSOCIATED' && linearizable === false,
    ),
  ],
  ['F13', 'locks.json', json(releasesFirst(TDR, TREE))],
  ['F18', 'locks.json', json(releasesFirst(TREE, TDR))],
  [
    'F17',
    'sequential.jsonl.gz',
    someLine(({ value }) =>
      (value as Sequence).steps.some(
        ({ op, result, out, septBefore }) =>
          op === 'HW.GUEST.ACCESS' &&
          result === 'TD_EXIT' &&
          septBefore?.state === 'PENDING' &&
          out.rdx === '0x0',
      ),
    ),
  ],
];

describe.for(RECORDED_MODULES)('module %s', (version) => {
  for (const [finding, file, shows] of EVIDENCE)
    testWith(
      file,
      `${finding} shows in ${file} if docs/findings.md lists the version`,
      async (path) => {
        expect(await shows(path)).toBe(RECORDED.get(finding)?.includes(version));
      },
      version,
    );
});
