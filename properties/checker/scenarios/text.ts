/**
 * Text form of scenarios: reports print it, and tests, corpus and `sept show` read it.
 *
 *     v0: touch 0; touch 2 | h0: unmap 0+2 | @v0.1.17>1 @h0.0.5?1
 *
 * First the kind of VM (`vm`, `new-td`), unless it is a running TD, and the tree of its page tables
 * (`levels 4`, `fanout 3`, `levels 4, fanout 3`), unless it is the default; then the actors in
 * order, each with its operations (`name gfn`, `name gfn+pages`, or of a higher entry `name
 * gfn@1G`); then the deviations: `@`, actor, operation and step, then `>n` for a switch or `?n` for
 * an outcome.
 */
import { describeTree, treeOf, UnusableTree, type Tree } from '../../../impl/vm/size.ts';
import { VM_KINDS, type VmKind } from '../../../impl/vm/vm.ts';
import { levelNamed, sizeAt } from '../../../spec/machine/levels.ts';
import {
  actorName,
  REMOVE_TABLE,
  atLevel,
  inTree,
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
  const tree = scenario.tree === undefined ? [] : [describeTree(scenario.tree)];
  return [
    ...kind,
    ...tree,
    ...actors,
    ...(deviations.length > 0 ? [deviations.join(' ')] : []),
  ].join(' | ');
}

/** The kind of VM of a text that names none. */
const DEFAULT_KIND: VmKind = 'td';

export function formatOperation({ name, gfn, pages, level }: Operation): string {
  const entry = level === undefined ? '' : `@${sizeAt(level)}`;
  return `${name} ${gfn}${entry}${pages === 1 ? '' : `+${pages}`}`;
}

/** A text that is no scenario. The message has the unreadable part, and what it should be. */
export class ScenarioSyntaxError extends Error {
  constructor(text: string, part: string, expected: string) {
    super(`scenario text: cannot read "${part}" in "${text}": expected ${expected}`);
    this.name = 'ScenarioSyntaxError';
  }
}

const ACTOR = /^([vh])(\d+):\s*(.*)$/;
const TREE = /^(?:levels (\d+)(?:, fanout (\d+))?|fanout (\d+))$/;
const OPERATION = /^([a-z-]+) (\d+)(?:@(\w+))?(?:\+(\d+))?$/;
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
  if (vm !== undefined) parts.shift();
  const tree = TREE.exec(parts[0] ?? '');
  if (tree !== null) parts.shift();
  for (const part of parts) {
    if (part.startsWith('@')) {
      for (const word of part.split(/\s+/)) deviations.push(parseDeviation(text, word, actors));
    } else actors.push(parseActor(text, part, actors));
  }
  if (actors.length === 0)
    throw new ScenarioSyntaxError(text, text, 'at least one actor, e.g. "v0: touch 0"');
  return inTree({ vm: vm ?? DEFAULT_KIND, actors, deviations }, parseTree(text, tree));
}

/** The tree that a text names, or the default. @throws ScenarioSyntaxError if no VM can have it */
function parseTree(text: string, match: RegExpExecArray | null): Tree {
  const [part = '', levels, second, only] = match ?? [];
  const fanout = second ?? only;
  try {
    return treeOf({
      ...(levels === undefined ? {} : { levels: Number(levels) }),
      ...(fanout === undefined ? {} : { fanout: Number(fanout) }),
    });
  } catch (error) {
    if (!(error instanceof UnusableTree)) throw error;
    throw new ScenarioSyntaxError(text, part, `a tree: ${error.message}`);
  }
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
  const [, name = '', gfn, size, pages = 1] = match;
  const level = size === undefined ? 1 : levelNamed(size);
  if (level < 1 || (size !== undefined && name !== REMOVE_TABLE))
    throw new ScenarioSyntaxError(
      text,
      word,
      `a table's entry only after ${REMOVE_TABLE}, e.g. "${REMOVE_TABLE} 0@1G"`,
    );
  return atLevel({ name, gfn: Number(gfn), pages: Number(pages) }, level);
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
