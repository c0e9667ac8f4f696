/**
 * What judges policies (`sept-conformance/properties`): the check and its verdict, single histories, the rules that
 * are shipped and what one of your own is; and what judges traces of real kernels.
 */
export {
  check, explain, NotDeterministic, type CheckOptions, type Finding, type Verdict,
} from './check.ts';
export { Engine, PolicyError, rulesFor, UnusableHistory, type EngineOptions } from './engine.ts';
export type { Shape } from './histories/arbitrary.ts';
export { shapesOf, TD_SHAPE, VM_SHAPE } from './shapes.ts';
export { CORPUS } from './histories/corpus.ts';
export type { ActorProgram, ActorRole, Deviation, History, Operation } from './histories/history.ts';
export { formatHistory, HistorySyntaxError, parseHistory } from './histories/text.ts';
export { catalogue, type CatalogueEntry } from './reports/catalogue.ts';
export { story, type Report } from './reports/report.ts';
export { timelineOf, type Row, type Timeline } from './reports/timeline.ts';
// what rules about TDs are made of
export * from './debts.ts';
export * from './entries.ts';
export * from './ghosts.ts';
export * as linearizability from './linearizability/index.ts';
export { SYSTEM_RULES } from './rules/index.ts';
export type { VmRule } from './rules/rule.ts';
// what judges traces of a running KVM, as `sept trace` does
export { judgeTraceFile } from './traces/files.ts';
export { judgeTrace } from './traces/judge.ts';
export { TRACE_RULE_IDS } from './traces/rules/index.ts';
export type { Cause } from './traces/rules/rule.ts';
export type { RuleCount, TraceOptions, TraceVerdict, TraceViolation } from './traces/verdict.ts';
