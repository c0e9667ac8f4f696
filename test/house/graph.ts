/** A graph of imports, and the questions that docs/architecture.md answers about it. */

/** What each node imports. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** The arrows of a graph, as pairs. */
export const arrowsOf = (graph: Graph): [from: string, to: string][] =>
  [...graph].flatMap(([from, targets]) => [...targets].map((to): [string, string] => [from, to]));

/** The graph whose nodes are what `room` makes of the nodes; nodes without a room are left out. */
export function merged(graph: Graph, room: (node: string) => string | undefined): Graph {
  const rooms = new Map<string, Set<string>>();
  for (const [from, to] of arrowsOf(graph)) {
    const [a, b] = [room(from), room(to)];
    if (a === undefined || b === undefined || a === b) continue;
    rooms.set(a, (rooms.get(a) ?? new Set()).add(b));
  }
  return rooms;
}

/** The nodes that can be reached from `node`; it is one of them only on a circle. */
export function reachable(graph: Graph, node: string): Set<string> {
  const found = new Set<string>();
  const open = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const target of graph.get(next) ?? []) {
      if (found.has(target)) continue;
      found.add(target);
      open.push(target);
    }
  }
  return found;
}

/** The circles: groups of nodes that reach each other, each sorted. */
export function circlesOf(graph: Graph): string[][] {
  const reach = new Map([...graph.keys()].map((node) => [node, reachable(graph, node)]));
  const groups = [...graph.keys()]
    .filter((node) => reach.get(node)?.has(node) === true)
    .map((node) =>
      [...(reach.get(node) ?? [])].filter((other) => reach.get(other)?.has(node) === true),
    )
    .map((group) => group.toSorted().join(' '));
  return [...new Set(groups)].toSorted().map((group) => group.split(' '));
}

/**
 * Where a folder's parts stand, from a text like "`a/` → `b/`, `c.ts` → files": the position of
 * each, 0 at the top. "others" are those that are not named.
 */
export const positionsIn = (text: string): ReadonlyMap<string, number> =>
  new Map(
    text
      .split('→')
      .flatMap((parts, position) =>
        parts
          .split(',')
          .map((part) => [part.trim().replaceAll(/^`|\/?`$/g, ''), position] as const),
      ),
  );

/** Whether a part may import another one: parts at one position do not know each other. */
export function isDownward(
  positions: ReadonlyMap<string, number>,
  from: string,
  to: string,
): boolean {
  const [above, below] = [positions.get(from), positions.get(to)];
  return from === to || (above !== undefined && below !== undefined && above < below);
}

/** Arrows that are drawn without an import, and imports that no path of the drawing stands for. */
export function differences(drawn: Graph, real: Graph): string[] {
  const untrue = arrowsOf(drawn)
    .filter(([from, to]) => real.get(from)?.has(to) !== true)
    .map(([from, to]) => `${from} --> ${to} is drawn, and there is no such import`);
  const missing = arrowsOf(real)
    .filter(([from, to]) => !reachable(drawn, from).has(to))
    .map(([from, to]) => `${from} imports ${to}, and no arrows lead there`);
  return [...untrue, ...missing];
}
