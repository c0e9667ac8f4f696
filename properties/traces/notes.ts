/** What `sept trace` says about the trace itself: a line for each lack of it. */
import type { TraceVerdict } from './verdict.ts';

const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** Makes a note of a verdict, or null if there is nothing to note. */
type Note = (verdict: TraceVerdict) => string | null;

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} (${count})`)
    .join(', ');

const NOTES: readonly Note[] = [
  ({ kernel, reading: { probesOf } }) =>
    probesOf === null
      ? null
      : `the probes are those of Linux ${probesOf}, so nothing is judged as Linux ${kernel}; ` +
        'give that version, or leave --kernel out',
  ({ kernel, isUnknownKernel }) =>
    isUnknownKernel
      ? `no known kernel has all of these events; judged by what they have in common with ${kernel}`
      : null,
  ({ reading: { byCpu } }) =>
    byCpu
      ? 'the events of one CPU follow those of another, so nothing is judged; ' +
        'give the files per_cpu/cpuN/trace by themselves, with --merge'
      : null,
  ({ unknown }) =>
    Object.keys(unknown).length === 0 ? null : `unknown events: ${counted(unknown)}`,
  ({ directMapMoves }) =>
    directMapMoves === 0
      ? null
      : `physical memory is mapped elsewhere after ${plural(directMapMoves, 'place')} of the ` +
        'trace, as in traces of several boots; the state until then was discarded',
  ({ unplacedFaults }) =>
    unplacedFaults === 0
      ? null
      : `${plural(unplacedFaults, 'fast page fault')} changed entries that are not known; ` +
        'options/hash-ptr 0 and the probe fpf would show them',
  ({ unreadable, reading: { unreadableLine } }) =>
    unreadable === 0
      ? null
      : `${plural(unreadable, 'line is no event', 'lines are not events')}, ` +
        `first at line ${unreadableLine}`,
  ({ lost, reading: { lostEvents } }) =>
    lost === 0
      ? null
      : `events were lost ${plural(lost, 'time')}` +
        (lostEvents > 0 ? `, ${plural(lostEvents, 'event')} in all` : '') +
        '; the state until then was discarded',
  ({ reading: { overwritten } }) =>
    overwritten === 0
      ? null
      : `${plural(overwritten, 'event')} had been overwritten when the trace was read`,
  ({ reading: { buffersStarted } }) =>
    buffersStarted === 0
      ? null
      : `the buffer of a CPU starts ${plural(buffersStarted, 'time')} after those of others; ` +
        'nothing is judged until then',
  ({ reading: { capturesJoined } }) =>
    capturesJoined === 0
      ? null
      : `${plural(capturesJoined, 'further capture follows', 'further captures follow')} the ` +
        'first; the state until then was discarded',
  ({ reading: { backwards, byCpu } }) =>
    backwards.times === 0 || byCpu
      ? null
      : `time runs backwards ${plural(backwards.times, 'time')}, ${backwards.ofCpu} of them on ` +
        `one CPU, first at line ${backwards.line}; the state until then was discarded`,
  ({ reading: { notNumbers } }) =>
    Object.keys(notNumbers).length === 0
      ? null
      : `values that are not numbers: ${counted(notNumbers)}`,
  ({ events, reading: { withoutFlags } }) =>
    withoutFlags === 0
      ? null
      : `${withoutFlags === events ? 'no event shows' : `${withoutFlags} events do not show`} ` +
        'whether it is of an interrupt (perf script, or options/irq-info is 0)',
  ({ reading: { cut } }) => (cut ? 'the last line has no end, and is not read' : null),
  ({ reading: { damaged } }) => (damaged === null ? null : `${damaged}; judged up to there`),
];

/** Lines about what a trace lacks, and what follows from that. */
export const notesOf = (verdict: TraceVerdict): string[] =>
  NOTES.flatMap((note) => note(verdict) ?? []);
