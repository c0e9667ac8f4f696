/** Times of events in the text of a capture. A line of 6.1 can have two events. */
const TIMES = /(?<=\] (?:\S+ +)?)[\d.]+(?=: )/g;

/** The text of an event at the time of another: a trace is in the order of time. */
export const atTimeOf = (text: string, other: string): string =>
  text.replaceAll(TIMES, other.match(TIMES)?.at(-1) ?? '');
