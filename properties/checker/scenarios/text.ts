/**
 * Text form of scenarios: reports print it, and tests, corpus and `sept show` read it.
 *
 *     v0: touch 0; touch 2 | h0: unmap 0+2 | @v0.1.17>1 @h0.0.5?1
 *
 * First the kind of VM (`vm`, `new-td`), unless it is a running TD; then the actors in order, each
 * with its operations (`name gfn` or `name gfn+pages`); then the deviations: `@`, actor, operation
 * and step, then `>n` for a switch or `?n` for an outcome.
 */
import { VM_KINDS, type VmKind } from '../../../impl/vm/vm.ts';
import {
  actorName,
  type ActorProgram,
  type Deviation,
  type Scenario,
  type Operation,
} from './scenario.ts';

/** Text form of a scenario. */
export function formatScenario(scenario: Scenario): string {
  const actors = scenario.actors.map((actor, index) => {
    const operations = actor.operations.map(formatOperation).join('; ');
    return `${actorName(scenario, index)}: ${operations}`.trimEnd();
  });
  const deviations = scenario.deviations.map((d) => {
    const sign = d.what === 'switch' ? '>' : '?';
    return `@${actorName(scenario, d.actor)}.${d.operation}.${d.step}${sign}${d.value}`;
  });
  const kind = scenario.vm === DEFAULT_KIND ? [] : [scenario.vm];
  return [...kind, ...actors, ...(deviations.length > 0 ? [deviations.join(' ')] : [])].join(' | ');
}

/** The kind of VM of a text that names none. */
const DEFAULT_KIND: VmKind = 'td';

export const formatOperation = ({ name, gfn, pages }: Operation): string =>
  pages === 1 ? `${name} ${gfn}` : `${name} ${gfn}+${pages}`;

/** A text that is no scenario. The message has the unreadable part, and what it should be. */
export class ScenarioSyntaxError extends Error {
  constructor(text: string, part: string, expected: string) {
    super(`scenario text: cannot read "${part}" in "${text}": expected ${expected}`);
    this.name = 'ScenarioSyntaxError';
  }
}

const ACTOR = /^([vh])(\d+):\s*(.*)$/;
const OPERATION = /^([a-z-]+) (\d+)(?:\+(\d+))?$/;
const DEVIATION = /^@([vhx])(\d+)\.(\d+)\.(\d+)([>?])(\d+)$/;

/** Reads the text form. Lines may break at any space. @throws ScenarioSyntaxError */
export function parseScenario(text: string): Scenario {
  const parts = text
    .replaceAll(/\s+/g, ' ')
    .split('|')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const actors: ActorProgram[] = [];
  const deviations: Deviation[] = [];
  const vm = VM_KINDS.find((kind) => kind === parts[0]);
  for (const part of vm === undefined ? parts : parts.slice(1)) {
    if (part.startsWith('@')) {
      for (const word of part.split(/\s+/)) deviations.push(parseDeviation(text, word, actors));
    } else actors.push(parseActor(text, part, actors));
  }
  if (actors.length === 0)
    throw new ScenarioSyntaxError(text, text, 'at least one actor, e.g. "v0: touch 0"');
  return { vm: vm ?? DEFAULT_KIND, actors, deviations };
}

function parseActor(text: string, part: string, before: readonly ActorProgram[]): ActorProgram {
  const match = ACTOR.exec(part);
  if (match === null)
    throw new ScenarioSyntaxError(text, part, 'an actor, e.g. "v0: touch 0; touch 1"');
  const role = match[1] === 'v' ? 'vcpu' : 'host';
  const place = before.filter((a) => a.role === role).length;
  if (Number(match[2]) !== place)
    throw new ScenarioSyntaxError(text, part, `the name ${match[1]}${place} here`);
  const words = (match[3] ?? '')
    .split(';')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  return { role, operations: words.map((word) => parseOperation(text, word)) };
}

function parseOperation(text: string, word: string): Operation {
  const match = OPERATION.exec(word);
  if (match === null) throw new ScenarioSyntaxError(text, word, 'an operation, e.g. "unmap 0+2"');
  return { name: match[1] ?? '', gfn: Number(match[2]), pages: Number(match[3] ?? 1) };
}

function parseDeviation(text: string, word: string, actors: readonly ActorProgram[]): Deviation {
  const match = DEVIATION.exec(word);
  if (match === null) throw new ScenarioSyntaxError(text, word, 'a deviation, e.g. "@v0.1.17>1"');
  const place = Number(match[2]);
  const role = match[1] === 'v' ? 'vcpu' : 'host';
  const indexes = actors.flatMap((a, index) => (a.role === role ? [index] : []));
  const actor = match[1] === 'x' ? actors.length + place : indexes[place];
  if (actor === undefined)
    throw new ScenarioSyntaxError(text, word, 'an actor that the text declares before');
  return {
    actor,
    operation: Number(match[3]),
    step: Number(match[4]),
    what: match[5] === '>' ? 'switch' : 'outcome',
    value: Number(match[6]),
  };
}
