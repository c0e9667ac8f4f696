/** The interface functions of a module from outside: which it replaces, and whether each is one. */
import { isRole } from '../spec/tdx/call.ts';
import type { InterfaceFunction } from '../spec/tdx/module.ts';
import { kindOf, meantBy, membersOf } from './members.ts';

type Refuse = (problem: string) => never;

/** The functions that a value holds: one, a list or a map of them. */
export function functionsIn(
  value: unknown,
  inherited: ReadonlyMap<string, InterfaceFunction>,
  refuse: Refuse,
): readonly InterfaceFunction[] {
  const list: readonly unknown[] =
    value === undefined
      ? []
      : value instanceof Map
        ? [...value.values()]
        : Array.isArray(value)
          ? value
          : [value];
  const members = [...new Set([...inherited.values()].flatMap((fn) => Object.keys(fn)))];
  const names = new Set<string>();
  return list.map((one, index) => {
    const at = list.length > 1 ? `functions[${index}]` : 'functions';
    const fn = functionIn(one, at, members, refuse);
    if (names.has(fn.name)) refuse(`two of its functions are ${fn.name}: leave one of them`);
    names.add(fn.name);
    const meant = inherited.has(fn.name) ? undefined : meantBy(fn.name, inherited.keys());
    if (meant !== undefined && sideOf(meant) === sideOf(fn.name))
      refuse(`unknown function "${fn.name}"; did you mean "${meant}"?`);
    return fn;
  });
}

/** Host and guest have functions that differ in one letter: TDH.VP.RD, TDG.VP.RD. */
const sideOf = (name: string): string => name.slice(0, name.indexOf('.'));

/** A function of the interface, or a refusal that says what it lacks. */
function functionIn(
  value: unknown,
  at: string,
  known: readonly string[],
  refuse: Refuse,
): InterfaceFunction {
  if (typeof value !== 'object' || value === null)
    return refuse(
      `${at} is ${kindOf(value)}, not a function of the interface: ` +
        "give { name: 'TDH.…', release: […], *run(tdx, call) { … } }",
    );
  const members = membersOf(value);
  const { name, release, run } = members;
  if (typeof name !== 'string' || name === '')
    return refuse(`${at} has no name: add name: 'TDH.…', that of the function that it replaces`);
  for (const key of Object.keys(members)) {
    const meant = known.includes(key) ? undefined : meantBy(key, known);
    if (meant !== undefined)
      refuse(`function ${name}: unknown member "${key}"; did you mean "${meant}"?`);
  }
  if (typeof run !== 'function')
    return refuse(`function ${name} has no run: write it as a generator, *run(tdx, call) { … }`);
  if (!Array.isArray(release) || !release.every(isRole))
    return refuse(
      `function ${name}: release is no list of roles: give them in the order in which it ` +
        'releases their locks, e.g. [HELD_ENTRY, HELD_TREE]',
    );
  return value as InterfaceFunction; // its members have been checked
}
