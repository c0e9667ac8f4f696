/**
 * Two different names that somebody may have confused: they differ in the case of letters only, or
 * in one letter that was left out, added, exchanged, or changed places with the next.
 */
export function nearly(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  if (one === other || Math.abs(a.length - b.length) > 1) return false;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const [restA, restB] = [a.slice(same), b.slice(same)];
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    `${restA[1] ?? ''}${restA[0] ?? ''}${restA.slice(2)}` === restB
  );
}
