/** A real capture that was altered is refused, by the rule and at the line that it is about. */
import { readFileSync, readdirSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { TRACED_KERNELS } from '../../../properties/traces/kernels/kernel.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { pathOf } from '../../support/repository.ts';
import { skipWithout } from '../../support/shared.ts';
import { ALTERATIONS } from './altering/all.ts';
import { Edits, type Alteration } from './altering/edits.ts';
import { hasPlace, Trace } from './altering/trace.ts';
import { capturesOf, nameOf } from './captures.ts';

const OWN = pathOf('recordings/traces/');
/** Of kernels that were right; what is altered in traces of TDs is in tdx-alterations.test.ts. */
const ours = readdirSync(OWN)
  .filter((name) => /^linux-(?!.*-bug-)/.test(name))
  .map((name) => OWN + name);

/** Those beside this repository. */
const theirs = capturesOf('kvm');
/** The ones that have most to alter, by kernel, and how much of them takes part. */
const RICH =
  /linux-(6\.1\.192-(nx|mem)|6\.12\.117-b-ee-(dirty|mem)|7\.3\.4-(b-dirty|c-ee-(dirty|mem|mixed|nx)))/;
const BEGINNING = 8000;

/** Milliseconds: there are many. */
const LONG = 60_000;

/** So much of what follows is judged, too: nothing there may explain away what is wrong. */
const AFTERMATH = 5000;
/** What is altered is looked for from here on, as a part of the capture. */
const PLACES = [0, 0.5];

const traces = new Map<string, Trace>();

function traceOf(path: string, length: number): Trace {
  const known = traces.get(`${path} ${length}`);
  if (known !== undefined) return known;
  const kernel = Object.values(TRACED_KERNELS).find(({ version }) =>
    nameOf(path).startsWith(`linux-${version}.`),
  );
  if (kernel === undefined) throw new Error(`${path} is of no kernel that is known`);
  const trace = new Trace(
    kernel.version,
    gunzipSync(readFileSync(path)).toString('latin1').split('\n', length),
  );
  traces.set(`${path} ${length}`, trace);
  return trace;
}

/**
 * Alters a capture from a part of it on, and judges what comes out; answers false when it has no
 * such place.
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

test.each(here)('$what: $rule, where it shows', (alteration) => {
  expect(
    ours.flatMap((path) => PLACES.filter((part) => isRefused(alteration, path, part))),
  ).not.toEqual([]);
});

const title = 'in large captures, too';
if (theirs.length === 0) skipWithout('kvm', title);
else {
  test(
    `each is refused where it shows ${title}`,
    () => {
      const refused = here.flatMap((alteration) =>
        Object.keys(TRACED_KERNELS).filter((kernel) =>
          // the first that has a place for it
          theirs
            .filter((path) => RICH.test(path) && nameOf(path).startsWith(`linux-${kernel}.`))
            .some((path) => isRefused(alteration, path, 0, BEGINNING)),
        ),
      );

      console.log(
        `${here.length} alterations, refused ${refused.length} times in captures of ${new Set(refused).size} kernels`,
      );
      expect(refused.length).toBeGreaterThan(here.length);
    },
    LONG,
  );

  test.each(elsewhere)('$what: $rule, where it shows in $elsewhere', (alteration) => {
    expect(
      theirs.filter(
        (path) => nameOf(path) === alteration.elsewhere && isRefused(alteration, path, 0),
      ),
    ).toHaveLength(1);
  });
}

test('every rule is put to the test by an alteration, or by a capture of a wrong kernel', () => {
  const wrong = ['K21'];
  expect([...new Set(ALTERATIONS.map(({ rule }) => rule)), ...wrong].toSorted()).toEqual(
    TRACE_RULE_IDS.toSorted(),
  );
});
