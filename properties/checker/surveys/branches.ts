/**
 * The question of the mailing list for a branch with tables in it: must a table in the middle stay
 * reachable until all of the branch is removed? Each policy is checked by scenarios that remove the
 * table of an entry at 1G or above. One that is expected to fail has to be caught by the status
 * that its call gets; the others are judged by every rule.
 */
import {
  exclusive,
  frozenMirror,
  pruneUnderLock,
  rcuBranchFree,
  rcuBranchFreeBottomUp,
  rcuBranchFreeLeavesFirst,
  rcuBranchFreeRetry,
  rcuBranchFreeTableFirst,
  rcuBranchFreeUnblock,
} from '../../../impl/index.ts';
import parentBlockedFirst from '../../../impl/mutants/b-46-parent-blocked-first.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { DEFAULT_TREE, describeTree, sizesOf, type Tree } from '../../../impl/vm/size.ts';
import { nameOf, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { check, type CheckOptions } from '../check.ts';
import type { Shape } from '../scenarios/arbitrary.ts';
import { REMOVE_TABLE, type Scenario } from '../scenarios/scenario.ts';
import { shapesOf, TD_SHAPE } from '../shapes.ts';
import { BUDGET, cell, survey } from './survey.ts';

/** What each policy does with a branch, in the order in which they are listed. */
const BRANCH_POLICIES: readonly (readonly [policy: Policy, what: string])[] = [
  [parentBlockedFirst.policy, 'top-down, with mmu_lock held for write'],
  [rcuBranchFree, 'the top is blocked, and an RCU callback removes the rest'],
  [rcuBranchFreeRetry, 'the same, and the callback repeats busy calls'],
  [rcuBranchFreeTableFirst, 'the same, and the callback begins with the top table'],
  [rcuBranchFreeLeavesFirst, 'leaves under mmu_lock; then as rcu-branch-free, with tables only'],
  [rcuBranchFreeUnblock, 'as rcu-branch-free, and the callback unblocks the top first'],
  [rcuBranchFreeBottomUp, 'nothing is blocked ahead; the callback removes bottom-up'],
  [exclusive, 'bottom-up under mmu_lock, each table from both trees'],
  [pruneUnderLock, 'the mirror at once, then the Secure EPT bottom-up, under mmu_lock'],
  [frozenMirror, 'leaves only; tables stay'],
];

/** The rule about statuses. */
const RULE = 'S01';

/** Options of {@link askAboutBranch}. */
export interface BranchQuestion {
  readonly module: ModuleVersion;
  readonly tree: Tree;
  /** Seeds from 1 on, for a policy that fails. */
  readonly seeds: number;
  /** Scenarios that a policy which passes has to pass. */
  readonly runs: number;
}

/** What a policy does with a branch, and what came of it. */
export interface BranchAnswer {
  readonly policy: string;
  readonly what: string;
  /** Name of the module, and the tree, '' for the default. */
  readonly module: string;
  readonly tree: string;
  /** The policy breaks a rule, as it declares, or breaks none. */
  readonly isExpected: boolean;
  /** Scenarios without a broken rule, or the median number until one is broken. */
  readonly scenarios: number;
  /** The shortest counterexample, if a rule is broken. */
  readonly found: BranchCounterexample | null;
}

/** A shrunk counterexample. */
interface BranchCounterexample {
  readonly scenario: string;
  /** Rows of its timeline. */
  readonly rows: number;
  /** What it ends with: the status that the module returns. */
  readonly seen: string;
}

/** Scenarios of a branch: its pages are mapped, some zapped, and its table is removed. */
const branchShape = (policy: Policy, tree: Tree): readonly Shape[] => {
  const [shape = TD_SHAPE] = shapesOf(policy, tree).filter(({ vm }) => vm === 'td');
  const operations = {
    vcpu: ['touch', 'touch', 'read', 'accept', 'idle'],
    host: [REMOVE_TABLE, REMOVE_TABLE, 'unmap'],
  };
  return [{ ...shape, operations, maxLevel: sizesOf(tree).rootLevel }];
};

/** The scenario removes a table above which others may be. */
export const removesBranch = ({ actors }: Scenario): boolean =>
  actors.some(({ operations }) => operations.some(({ level = 1 }) => level > 1));

/** Asks each policy. */
export const askAboutBranch = (question: BranchQuestion): BranchAnswer[] =>
  BRANCH_POLICIES.map(([policy, what]) => {
    const { module, tree } = question;
    const scenarios = { tree, within: removesBranch, shapes: branchShape(policy, tree) };
    const mayFail = policy.breaks.length > 0;
    return {
      policy: policy.name,
      what,
      module: nameOf(module),
      tree: describeTree(tree),
      ...(mayFail ? failing : passing)(policy, question, scenarios),
    };
  });

type Scenarios = Pick<CheckOptions, 'tree' | 'within' | 'shapes'>;
type Outcome = Pick<BranchAnswer, 'isExpected' | 'scenarios' | 'found'>;

/** Checks a policy that declares to break rules, from several seeds, by the statuses it gets. */
function failing(policy: Policy, { module, seeds }: BranchQuestion, which: Scenarios): Outcome {
  const { caught, scenarios, rows, seen, shortest } = survey(policy, module, [RULE], {
    ...which,
    seeds,
  });
  const found = caught === 0 ? null : { scenario: shortest, rows, seen };
  return { isExpected: caught === seeds, scenarios: found === null ? BUDGET : scenarios, found };
}

/** Checks a policy that declares to break none. A third of what is drawn removes a branch. */
function passing(policy: Policy, { module, runs }: BranchQuestion, which: Scenarios): Outcome {
  const options = { ...which, policy, module, seed: 1, runs: 3 * runs, stopAfter: 1 };
  const { counterexamples, scenarios } = check(options);
  const [first] = counterexamples;
  if (first === undefined) return { isExpected: true, scenarios, found: null };
  const { report, text, violation } = first;
  const found = { scenario: text, rows: report.rows.length, seen: violation.seen };
  return { isExpected: false, scenarios, found };
}

/** Trees of the document: the smallest that has such a branch, and one more level. */
export const BRANCH_TREES: readonly Tree[] = [DEFAULT_TREE, { levels: 4, fanout: 2 }];

/** A row of the document. */
export const branchRow = ({ policy, what, module, tree, scenarios, found }: BranchAnswer): string =>
  `| ${policy} | ${what} | ${module} | ${tree} | ${scenarios} | ` +
  (found === null
    ? 'no rule is broken | | |'
    : `${cell(found.seen)} | ${found.rows} | \`${cell(found.scenario)}\` |`);
