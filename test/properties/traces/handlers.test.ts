/** The two phases in which handlers of a trace's events run. */
import { expect, test } from 'vitest';
import { TraceEvent } from '../../../properties/traces/reader/event.ts';
import { Handlers } from '../../../properties/traces/state/handlers.ts';
import { World } from '../../../properties/traces/state/world.ts';

test('handlers that keep state run before those of rules, in the order of each phase', () => {
  const handlers = new Handlers<string>();
  handlers.push('rule 1');
  handlers.pushState('state 1');
  handlers.push('rule 2');
  handlers.pushState('state 2');

  expect(handlers.all).toEqual(['state 1', 'state 2', 'rule 1', 'rule 2']);
});

test('a rule that subscribes first hears of an event after the handlers that keep state', () => {
  const event = new TraceEvent();
  const world = new World(event);
  const heard: string[] = [];
  world.on('flush', () => heard.push('rule'));
  world.onState('flush', () => heard.push('state'));

  const line = Buffer.from(
    ' kw-527     [000] ...1.          514: flush: (kvm_flush_remote_tlbs+0x4/0x30) kvm=0x1',
  );
  expect(event.read(line, 0, line.length, 1)).toBe('event');
  world.handle();
  expect(heard).toEqual(['state', 'rule']);
});
