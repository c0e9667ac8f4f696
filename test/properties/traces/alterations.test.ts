/** Altered captures of correct kernels are refused by the rule that the alteration breaks. */
import { readFileSync, readdirSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { KERNEL_NAMES } from '../../../properties/traces/kernels/names.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { pathOf } from '../../support/repository.ts';
import { skipWithout } from '../../support/shared.ts';
import { ALTERATIONS } from './altering/all.ts';
import { Edits, type Alteration } from './altering/edits.ts';
import { hasPlace, Trace } from './altering/trace.ts';
import { capturesOf, nameOf } from './captures.ts';

const OWN = pathOf('recordings/traces/');
/** Captures in recordings/ of correct kernels. Traces of TDs are in tdx-alterations.test.ts. */
const ours = readdirSync(OWN)
  .filter((name) => /^linux-(?!.*-bug-)/.test(name))
  .map((name) => OWN + name);

/** Larger captures, which are not in the repository. */
const theirs = capturesOf('kvm');
/** Captures with most places to alter, by kernel, and the number of lines that are read. */
const RICH = new RegExp(
  [
    String.raw`linux-6\.1\.192-(nx|mem)`,
    String.raw`linux-6\.12\.117-b-ee-(dirty|mem)`,
    String.raw`linux-7\.3\.4-(b-dirty|c-ee-(dirty|mem|mixed|nx))`,
  ].join('|'),
);
const BEGINNING = 8000;

/** Timeout in milliseconds, for many captures. */
const LONG = 60_000;

/** Number of later lines that are judged too: none may revoke the violation. */
const AFTERMATH = 5000;
/** Parts of a capture from which on a place is sought. */
const PLACES = [0, 0.5];

const traces = new Map<string, Trace>();

function traceOf(path: string, length: number): Trace {
  const known = traces.get(`${path} ${length}`);
  if (known !== undefined) return known;
  const kernel = KERNEL_NAMES.find((name) => nameOf(path).startsWith(`linux-${name}.`));
  if (kernel === undefined) throw new Error(`${path} is of an unknown kernel`);
  const trace = new Trace(
    kernel,
    gunzipSync(readFileSync(path)).toString('latin1').split('\n', length),
  );
  traces.set(`${path} ${length}`, trace);
  return trace;
}

/**
 * Alters a capture at its first place after `part` of it, and checks that the rule is reported
 * there first. Returns false if the capture has no such place.
 */
function isRefused(
  { rule, alter, whole = false }: Alteration,
  path: string,
  part: number,
  length = 2 ** 32 - 1,
): boolean {
  const trace = traceOf(path, length);
  const edits = new Edits(trace);
  const from = Math.floor(trace.lines.length * part);
  let line = 0;
  if (
    !hasPlace(() => {
      line = alter(edits, from);
    })
  )
    return false;
  const { violations } = judgeTrace(edits.lines().slice(0, whole ? undefined : line + AFTERMATH));
  const where = `${nameOf(path)} from line ${from + 1}`;

  expect([where, ...violations.filter((violation) => violation.line < line)]).toEqual([where]);
  expect([
    where,
    ...violations.filter((violation) => violation.line === line).map((violation) => violation.rule),
  ]).toContain(rule);
  return true;
}

const here = ALTERATIONS.filter((each) => each.elsewhere === undefined);
const elsewhere = ALTERATIONS.filter((each) => each.elsewhere !== undefined);

test.each(here)('judgeTrace reports $rule first when $what', (alteration) => {
  expect(
    ours.flatMap((path) => PLACES.filter((part) => isRefused(alteration, path, part))),
  ).not.toEqual([]);
});

const title = 'judgeTrace reports altered rules in large captures as well';
if (theirs.length === 0) skipWithout('kvm', title);
else {
  test(
    title,
    () => {
      const refused = here.flatMap((alteration) =>
        KERNEL_NAMES.filter((kernel) =>
          // the first capture that has a place
          theirs
            .filter((path) => RICH.test(path) && nameOf(path).startsWith(`linux-${kernel}.`))
            .some((path) => isRefused(alteration, path, 0, BEGINNING)),
        ),
      );

      console.log(
        `${here.length} alterations, refused ${refused.length} times in captures of ` +
          `${new Set(refused).size} kernels`,
      );
      expect(refused.length).toBeGreaterThan(here.length);
    },
    LONG,
  );

  test.each(elsewhere)('judgeTrace reports $rule first in $elsewhere when $what', (alteration) => {
    expect(
      theirs.filter(
        (path) => nameOf(path) === alteration.elsewhere && isRefused(alteration, path, 0),
      ),
    ).toHaveLength(1);
  });
}

test('every rule has an alteration that breaks it, or a capture of a buggy kernel', () => {
  const byCapture = ['K21'];
  expect([...new Set(ALTERATIONS.map(({ rule }) => rule)), ...byCapture].toSorted()).toEqual(
    TRACE_RULE_IDS.toSorted(),
  );
});
