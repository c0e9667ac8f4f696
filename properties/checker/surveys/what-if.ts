/**
 * docs/what-if.md: policies on modules that do not exist (spec/tdx/versions/what-if/), and what
 * that says about the questions for which the modules are made.
 */
import {
  dynamicPamt,
  exclusive,
  frozenMirror,
  hugePages2023,
  hugePagesRfc1,
  hugePagesV3,
  hugePagesV5,
  POLICIES,
  rcuBranchFrozen,
  rcuBranchFrozenBottomUp,
  rcuBranchFrozenTrack,
  splitInFault,
  splitInFaultEarlyTest,
} from '../../../impl/index.ts';
import checkedEarly from '../../../impl/mutants/b-67-pamt-checked-early.ts';
import uncounted from '../../../impl/mutants/b-88-covered-uncounted.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { DEFAULT_TREE, sizesOf, type Tree } from '../../../impl/vm/size.ts';
import { isProtocol } from '../../../spec/machine/monitor.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { check, type Counterexample, type Verdict } from '../check.ts';
import type { Shape } from '../scenarios/arbitrary.ts';
import { CORPUS } from '../scenarios/corpus.ts';
import { inTree, type Scenario } from '../scenarios/scenario.ts';
import { parseScenario } from '../scenarios/text.ts';
import { shapesOf, TD_SHAPE } from '../shapes.ts';
import { cell } from './survey.ts';
import { ANSWERS } from './what-if-answers.ts';

/** Number of random scenarios of each run, and of one in which no outcome was seen. */
const RUNS = 600;
const MORE_RUNS = 2000;
const SEED = 1;
/** A tree in which a branch has tables in it. */
const DEEP: Tree = { ...DEFAULT_TREE, levels: 4 };

/** Runs that answer a question: each policy on each module, in each tree. */
interface Question {
  readonly title: string;
  readonly modules: readonly ModuleVersion[];
  readonly policies: readonly Policy[];
  readonly trees: readonly Tree[];
  /** Scenarios besides those of the corpus. */
  readonly scenarios: readonly string[];
}

/** Two vCPUs, and two host threads of which one removes a branch while the other zaps pages. */
const BRANCH_SHAPE: Shape = {
  ...TD_SHAPE,
  roles: ['vcpu', 'vcpu', 'host', 'host'],
  operations: {
    vcpu: ['touch', 'read', 'accept', 'idle'],
    host: ['remove-table', 'remove-table', 'unmap'],
  },
};

/** A program with each of the deviations for the numbers below 160. */
const atEachStep = (program: string, deviations: (step: number) => string): string[] =>
  Array.from({ length: 160 }, (_, step) => `${program} | ${deviations(step)}`);

/** A zap beside a branch whose callback is preempted, at any of its first steps. */
const besideCallback = (program: string): string[] =>
  atEachStep(program, (step) => `@h1.0.0>1 @x0.0.${step}>1`);

const SPLIT_POLICIES = [
  hugePagesV3,
  hugePagesV5,
  hugePages2023,
  hugePagesRfc1,
  splitInFault,
  splitInFaultEarlyTest,
];

const BRANCHES: Question = {
  title: 'A branch that an RCU callback removes',
  modules: ['fine-grained', 'fine-grained-visible', 'fine-grained-covering'],
  policies: [
    exclusive,
    frozenMirror,
    ...POLICIES.filter(({ group }) => group === 'question'),
    rcuBranchFrozen,
    rcuBranchFrozenTrack,
    rcuBranchFrozenBottomUp,
  ],
  trees: [DEFAULT_TREE],
  scenarios: besideCallback('v0: touch 0; touch 4 | h0: remove-table 0 | h1: unmap 4'),
};

const DEEP_BRANCHES: Question = {
  ...BRANCHES,
  title: 'A branch with tables in it',
  policies: BRANCHES.policies.filter(
    ({ name }) => name.startsWith('rcu-branch') || name === exclusive.name,
  ),
  trees: [DEEP],
  scenarios: besideCallback('v0: touch 0; touch 2; touch 8 | h0: remove-table 0@1G | h1: unmap 8'),
};

const BEFORE: Question = {
  ...BRANCHES,
  title: 'The mended policies on the module that exists',
  modules: ['1.5.05'],
  policies: [rcuBranchFrozen, rcuBranchFrozenTrack, rcuBranchFrozenBottomUp],
};

const SPLITS: Question = {
  title: 'A fault that splits a large page',
  modules: ['1.5.05', 'uninterruptible-demote', 'demote-without-block', 'one-call-split'],
  policies: SPLIT_POLICIES,
  trees: [DEFAULT_TREE],
  // a fault reads the inhibit, another one sets it, and the first one maps large
  scenarios: ['v0: read 0 | v1: accept 0 | @v0.0.32>1 @v1.0.0?1'],
};

const PAMT_PAGES: Question = {
  title: 'PAMT pages that KVM adds and removes',
  modules: ['dynamic-pamt'],
  policies: [hugePagesV3, dynamicPamt, checkedEarly.policy, uncounted.policy],
  trees: [DEFAULT_TREE],
  // two faults on pages of one range, of which the first is preempted
  scenarios: atEachStep('v0: accept 0 | v1: accept 1', (step) => `@v0.0.${step}>1`),
};

const QUESTIONS = [BRANCHES, DEEP_BRANCHES, BEFORE, SPLITS, PAMT_PAGES] as const;

/** A run: a policy on a module, in a tree. */
interface Run {
  readonly question: Question;
  readonly policy: Policy;
  readonly module: ModuleVersion;
  readonly tree: Tree;
}

/** A run with its verdict. */
export interface SurveyedRun extends Run {
  readonly verdict: Verdict;
}

const runsOf = (question: Question): Run[] =>
  question.modules.flatMap((module) =>
    question.trees.flatMap((tree) =>
      question.policies.map((policy): Run => ({ question, policy, module, tree })),
    ),
  );

/** Every run of the page. */
export const WHAT_IF_RUNS: readonly Run[] = QUESTIONS.flatMap(runsOf);

const corpusOf = ({ question, tree }: Run): Scenario[] => [
  ...CORPUS,
  ...question.scenarios.map((text) => inTree(parseScenario(text), tree)),
];

const ruleOf = ({ violation }: Counterexample): string => violation.rule;

/** Carries out a run. */
export function surveyRun(run: Run): SurveyedRun {
  const { question, policy, module, tree } = run;
  const isAboutBranches = question.policies.includes(rcuBranchFrozen);
  const { rootLevel } = sizesOf(tree);
  const branches = isAboutBranches ? [{ ...BRANCH_SHAPE, tree, maxLevel: rootLevel }] : [];
  const usual = shapesOf(policy, tree);
  const shapes = [...branches, ...usual, ...usual];
  const verdictOf = (runs: number): Verdict =>
    check({ policy, module, tree, seed: SEED, runs, corpus: corpusOf(run), shapes });
  const verdict = verdictOf(RUNS);
  const hasOutcome = verdict.counterexamples.some((one) => !isProtocol(ruleOf(one)));
  return { ...run, verdict: hasOutcome ? verdict : verdictOf(MORE_RUNS) };
}

/** Carries out every run. */
export const surveyWhatIf = (): SurveyedRun[] => WHAT_IF_RUNS.map(surveyRun);

/** The shortest of some counterexamples, as text. */
const shortest = (found: readonly Counterexample[]): Counterexample | undefined =>
  found.toSorted((a, b) => a.text.length - b.text.length || (a.text < b.text ? -1 : 1))[0];

/** A row of the page. */
export function rowOf({ policy, module, verdict }: SurveyedRun): string {
  const { counterexamples } = verdict;
  const outcomes = counterexamples.filter((one) => !isProtocol(ruleOf(one)));
  const protocol = counterexamples.filter((one) => isProtocol(ruleOf(one)));
  // the question is about the statuses that the module returns
  const shown =
    outcomes.find((one) => ruleOf(one) === 'S01') ?? shortest(outcomes) ?? shortest(protocol);
  const cells = [
    `\`${policy.name}\``,
    [verdict.verdict, ...verdict.unexercised].join(' '),
    String(verdict.scenarios),
    outcomes.map(ruleOf).join(', '),
    protocol.map(ruleOf).join(', '),
    shown === undefined ? '' : `${ruleOf(shown)}: ${shown.violation.seen}`,
    shown === undefined
      ? ''
      : `\`sept show ${policy.name} --module ${String(module)} '${shown.text}'\``,
  ];
  return `| ${cells.map(cell).join(' | ')} |`;
}

const TABLE_HEAD = [
  '| policy | verdict | scenarios | outcomes | protocol | what is seen | replay |',
  '|---|---|---|---|---|---|---|',
];

/** The tables of a question. */
function tablesOf(question: Question, all: readonly SurveyedRun[]): string {
  const tables = question.modules.map((module) => {
    const rows = all.filter((run) => run.question === question && run.module === module).map(rowOf);
    return [`#### Module ${String(module)}`, '', ...TABLE_HEAD, ...rows, ''].join('\n');
  });
  return [`### ${question.title}`, '', ...tables].join('\n');
}

const HEAD = `# What if the module were another one?

Generated by \`npm run docs -- what-if\`: policies on modules that do not exist (\`--module NAME\`,
[spec/tdx/versions/what-if/](../spec/tdx/versions/what-if/)). A run is the scenarios of the corpus,
those named for the question, and ${RUNS} random ones from seed ${SEED}, or ${MORE_RUNS} where these show
no outcome. "Outcomes" are the broken rules about guest, host and module (S, T, H); "protocol" are
the broken K rules, which state how KVM's callers behave today, so that a policy which does
otherwise on purpose breaks them whatever comes of it. A scenario that breaks a K rule is run again
without K rules, so an outcome that follows is in the table. Rules beside a verdict were not
exercised.
\`test/impl/policies/what-if.test.ts\` holds the verdicts that the answers rest on.

`;

/** The page. */
export const markdownOfWhatIf = (all: readonly SurveyedRun[]): string =>
  [HEAD + ANSWERS, '## The runs', '', ...QUESTIONS.map((question) => tablesOf(question, all))]
    .join('\n')
    .trimEnd();
