/**
 * `sept-conformance/properties`: checks of policies and their verdicts, rules and what they are
 * made of, and the judge of traces. What is not listed here is not public. A group's tags are those
 * of each of its names.
 */
import * as linearizability from './linearizability/index.ts';

/** Checking a policy. @public @since 0.1.0 */
export { check, explain, NotDeterministic } from './checker/check.ts';
export type { CheckOptions, Counterexample, ExplainOptions, Verdict } from './checker/check.ts';
export { Engine, rulesFor } from './checker/engine.ts';
export { PolicyError, UnusableScenario } from './checker/run-errors.ts';
export { guardModule, ModuleError } from './checker/module-guard.ts';
export type { EngineOptions } from './checker/engine.ts';

/** Scenarios, and their text. @public @since 0.1.0 */
export type { ActorProgram, ActorRole, Deviation } from './checker/scenarios/scenario.ts';
export type { Operation, Scenario } from './checker/scenarios/scenario.ts';
export { formatScenario, parseScenario, ScenarioSyntaxError } from './checker/scenarios/text.ts';
export { CORPUS } from './checker/scenarios/corpus.ts';
export type { Shape } from './checker/scenarios/arbitrary.ts';
export { shapesOf, TD_SHAPE, VM_SHAPE } from './checker/shapes.ts';

/** Timelines, reports and the catalogue of rules. @public @since 0.1.0 */
export { timelineOf } from './checker/reports/timeline.ts';
export type { Timeline } from './checker/reports/timeline.ts';
export type { Row } from './checker/reports/row.ts';
export { story } from './checker/reports/report.ts';
export type { Report } from './checker/reports/report.ts';
export { catalogue } from './checker/reports/catalogue.ts';
export type { CatalogueEntry } from './checker/reports/catalogue.ts';

/** Rules about KVM and the module together. @public @since 0.1.0 */
export { SYSTEM_RULES } from './rules/index.ts';
export { TD_KINDS } from './rules/rule.ts';
export type { TdMonitor, VmRule } from './rules/rule.ts';

/** State that monitors of such rules keep or read. @public @since 0.1.0 */
export { watchBlocked } from './rules/state/blocked-entries.ts';
export { ADDS, BLOCK, DEMOTE, PROMOTE, UNBLOCKS } from './rules/state/calls.ts';
export { UNREACHED, agrees, describeMirror, describeSept } from './rules/state/entries.ts';
export { hasSeptLeaf, isInSept, isLinked, mirrorLeaf, septAt } from './rules/state/entries.ts';
export { spteAt } from './rules/state/entries.ts';
export { gfnOfCall, gfnOfKey, keyOf, keyOfCall, keyOfPlace } from './rules/state/entry-keys.ts';
export { levelOfCall, levelOfKey, nameOfKey } from './rules/state/entry-keys.ts';
export type { Key } from './rules/state/entry-keys.ts';
export { heldAs, holdsForWrite } from './rules/state/mmu-lock.ts';
export { numbersPerRun } from './rules/state/numbers-per-run.ts';
export { PendingEntries } from './rules/state/pending-entries.ts';
export { isEntryBlocked, isSplitUnderRead, maySplitFrozen } from './rules/state/splits.ts';
export { isAlive, isInsideTd, isOfOldEpoch, tdWord } from './rules/state/td-state.ts';

/** Judging traces of a running KVM, as sept trace does. @public @since 0.1.0 */
export { judgeTraceFile } from './traces/files.ts';
export { judgeTrace } from './traces/judge.ts';
export { TRACE_RULE_IDS } from './traces/rules/index.ts';
export type { Cause } from './traces/rules/rule.ts';
export type {
  RuleCount,
  TraceGroup,
  TraceOptions,
  TraceReading,
  TraceVerdict,
  TraceViolation,
} from './traces/verdict.ts';

/** The checker of linearizability, for any specification. @public @since 0.1.0 */
export { linearizability };
