/**
 * The names differ, but only in the case of letters, or by one typing error: a letter that is
 * missing, added, wrong, or swapped with the next.
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
