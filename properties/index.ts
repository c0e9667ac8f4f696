/**
 * What judges policies (`sept-conformance/properties`): the check and its verdict, single
 * histories, the rules that are shipped and what one of your own is; and what judges traces of real
 * kernels.
 */
export {
  check,
  explain,
  NotDeterministic,
  type CheckOptions,
  type Counterexample,
  type Verdict,
} from './checker/check.ts';
export {
  Engine,
  PolicyError,
  rulesFor,
  UnusableScenario,
  type EngineOptions,
} from './checker/engine.ts';
export type { Shape } from './checker/scenarios/arbitrary.ts';
export { shapesOf, TD_SHAPE, VM_SHAPE } from './checker/shapes.ts';
export { CORPUS } from './checker/scenarios/corpus.ts';
export type {
  ActorProgram,
  ActorRole,
  Deviation,
  Scenario,
  Operation,
} from './checker/scenarios/scenario.ts';
export { formatScenario, ScenarioSyntaxError, parseScenario } from './checker/scenarios/text.ts';
export { catalogue, type CatalogueEntry } from './checker/reports/catalogue.ts';
export { story, type Report } from './checker/reports/report.ts';
export { timelineOf, type Row, type Timeline } from './checker/reports/timeline.ts';
// what rules about TDs are made of
export * from './rules/state/blocked-entries.ts';
export * from './rules/state/calls.ts';
export * from './rules/state/entries.ts';
export * from './rules/state/entry-keys.ts';
export * from './rules/state/mmu-lock.ts';
export * from './rules/state/numbers-per-run.ts';
export * from './rules/state/pending-entries.ts';
export * from './rules/state/td-state.ts';
export * as linearizability from './linearizability/index.ts';
export { SYSTEM_RULES } from './rules/index.ts';
export type { VmRule } from './rules/rule.ts';
// what judges traces of a running KVM, as `sept trace` does
export { judgeTraceFile } from './traces/files.ts';
export { judgeTrace } from './traces/judge.ts';
export { TRACE_RULE_IDS } from './traces/rules/index.ts';
export type { Cause } from './traces/rules/rule.ts';
export type { RuleCount, TraceOptions, TraceVerdict, TraceViolation } from './traces/verdict.ts';
