/**
 * Handlers of one kind of event, in two phases: those that keep state run before those of rules.
 * The order in which handlers of different phases are added does not matter.
 */

/** `RuleHandler` is `Handler` with parameters that a rule cannot assign to. */
export class Handlers<Handler, RuleHandler extends Handler = Handler> {
  /** In the order in which they run. */
  readonly all: Handler[] = [];
  private states = 0;

  /** Adds a handler of a rule, which finds the state as the event leaves it. */
  push(handler: RuleHandler): void {
    this.all.push(handler);
  }

  /** Adds a handler that keeps state. Those run in the order in which they are added. */
  pushState(handler: Handler): void {
    this.all.splice(this.states, 0, handler);
    this.states++;
  }
}
