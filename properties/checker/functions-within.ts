/** The functions in a value: members of its objects, lists and maps. */

/** A function of any type. */
export type AnyFunction = (...given: unknown[]) => unknown;

/**
 * A value with each function in it replaced; the value itself if every one stays. `replace` has the
 * function's place in it, e.g. `encoding.toRaw`.
 */
export function withFunctions(
  value: unknown,
  place: string,
  replace: (fn: AnyFunction, place: string) => AnyFunction,
): unknown {
  if (typeof value === 'function') return replace(value as AnyFunction, place); // called as it was
  const inside = (key: unknown, member: unknown): unknown =>
    withFunctions(member, place === '' ? String(key) : `${place}.${String(key)}`, replace);
  if (Array.isArray(value)) {
    const list: readonly unknown[] = value;
    const replaced = list.map((member, index) => inside(index, member));
    return replaced.some((member, index) => member !== list[index]) ? replaced : value;
  }
  if (value instanceof Map) {
    const map: ReadonlyMap<unknown, unknown> = value;
    const replaced = new Map([...map].map(([key, member]) => [key, inside(key, member)]));
    return [...map].some(([key, member]) => replaced.get(key) !== member) ? replaced : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  const members: readonly [string, unknown][] = Object.entries(value);
  const replaced = members.map(([key, member]) => [key, inside(key, member)] as const);
  return replaced.some(([, member], index) => member !== members[index]?.[1])
    ? Object.assign(Object.create(Object.getPrototypeOf(value)), Object.fromEntries(replaced))
    : value;
}
