/** GFNs and ranges of GFNs as violations name them. */

/** Name of one GFN, e.g. `GFN 0x13a0`. */
export const gfnText = (gfn: number): string => `GFN 0x${gfn.toString(16)}`;

/** Name of a half-open range, e.g. `GFNs [0x13a0, 0x13a8)`; of its first GFN if it is empty. */
export const rangeText = ({
  start,
  end,
}: {
  readonly start: number;
  readonly end: number;
}): string =>
  end > start ? `GFNs [0x${start.toString(16)}, 0x${end.toString(16)})` : gfnText(start);
