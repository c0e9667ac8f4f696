/** The text of a capture by events, to find places that can be altered. */
import { tracedKernel } from '../../../../properties/traces/kernels/kernel.ts';
import type { KernelName } from '../../../../properties/traces/kernels/names.ts';
import type { Halves } from '../../../../spec/kvm/layouts/halves.ts';
import type { SpteLayout } from '../../../../spec/kvm/layouts/layout.ts';

/** The capture has no place for an alteration. */
export class NoPlace extends Error {}

/** Whether `place` finds one. */
export function hasPlace(place: () => unknown): boolean {
  try {
    place();
    return true;
  } catch (error) {
    if (error instanceof NoPlace) return false;
    throw error;
  }
}

export interface Event {
  /** Index of its line. */
  readonly at: number;
  readonly task: string;
  readonly name: string;
  readonly text: string;
}

const HEADER = /^\s*(\S.*?-\d+)\s+(?:\(\s*[\d-]+\) +)?\[\d+\] (\S+)\s+[\d.]+: (\w+):/;
/** An event of 6.1 that lost its body and its newline, before the next event in the same line. */
const SWALLOWED = /^.*: kvm_mmu_(?:get_page|prepare_zap_page): +(?=\S.*\[\d+\])/;

const bigintOf = ({ hi, lo }: Halves): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** The value of an event by its name. */
export function valueOf({ text }: Event, key: string): bigint {
  const from = text.indexOf(` ${key}=`);
  if (from < 0) throw new NoPlace(`${text} has no ${key}`);
  const begin = from + key.length + 2;
  const end = text.indexOf(' ', begin);
  return BigInt(text.slice(begin, end < 0 ? undefined : end));
}

export const hasValue = ({ text }: Event, key: string): boolean => text.includes(` ${key}=`);
export const levelOf = (e: Event): number => Number(valueOf(e, 'level'));
export const isShared = (e: Event): boolean => valueOf(e, 'shared') !== 0n;

export class Trace {
  readonly kernel: KernelName;
  readonly lines: readonly string[];
  readonly layout: SpteLayout;
  readonly empty: bigint;
  readonly frozen: bigint;
  private readonly events = new Map<string, Event[]>();
  private readonly byTask = new Map<string, Event[]>();

  constructor(kernel: KernelName, lines: readonly string[]) {
    this.kernel = kernel;
    this.lines = lines;
    this.layout = tracedKernel([kernel]).layout;
    this.empty = bigintOf(this.layout.empty);
    this.frozen = bigintOf(this.layout.frozen);
    for (const [at, line] of lines.entries()) this.read(at, line);
  }

  private read(at: number, line: string): void {
    const [, task = '', flags = '', name = ''] = HEADER.exec(line.replace(SWALLOWED, '')) ?? [];
    if (name === '') return;
    const actor = /^..[shHz]/.test(flags) ? 'interrupt' : task;
    const event = { at, task: actor, name, text: line };
    push(this.events, name, event);
    push(this.byTask, actor, event);
  }

  all(name: string): readonly Event[] {
    return this.events.get(name) ?? [];
  }

  /** The first event of that name from a line on. */
  first(name: string, from: number, matches: (e: Event) => boolean = () => true): Event {
    const events = this.all(name);
    for (let i = indexFrom(events, from); i < events.length; i++)
      if (matches(eventAt(events, i))) return eventAt(events, i);
    throw new NoPlace(`no ${name} from line ${from + 1} on`);
  }

  last(name: string, before: number, matches: (e: Event) => boolean = () => true): Event {
    const events = this.all(name);
    for (let i = indexFrom(events, before) - 1; i >= 0; i--)
      if (matches(eventAt(events, i))) return eventAt(events, i);
    throw new NoPlace(`no ${name} before line ${before + 1}`);
  }

  /** The next event of the same task that matches. */
  next(e: Event, matches: (next: Event) => boolean): Event {
    const events = this.byTask.get(e.task) ?? [];
    for (let i = indexFrom(events, e.at + 1); i < events.length; i++)
      if (matches(eventAt(events, i))) return eventAt(events, i);
    throw new NoPlace(`no such event of ${e.task} after line ${e.at + 1}`);
  }

  previous(e: Event, matches: (previous: Event) => boolean): Event {
    const events = this.byTask.get(e.task) ?? [];
    for (let i = indexFrom(events, e.at) - 1; i >= 0; i--)
      if (matches(eventAt(events, i))) return eventAt(events, i);
    throw new NoPlace(`no such event of ${e.task} before line ${e.at + 1}`);
  }

  isPresent(value: bigint): boolean {
    return (value & 0x800n) !== 0n;
  }

  isLeaf(value: bigint, level: number): boolean {
    return this.isPresent(value) && (level === 1 || (value & 0x80n) !== 0n);
  }

  isTable(value: bigint, level: number): boolean {
    return this.isPresent(value) && !this.isLeaf(value, level);
  }
}

function push(map: Map<string, Event[]>, key: string, event: Event): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [event]);
  else known.push(event);
}

function eventAt(events: readonly Event[], i: number): Event {
  const event = events[i];
  if (event === undefined) throw new NoPlace('no more events');
  return event;
}

/** Index of the first event at or after a line. */
function indexFrom(events: readonly Event[], line: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (eventAt(events, middle).at < line) low = middle + 1;
    else high = middle;
  }
  return low;
}
