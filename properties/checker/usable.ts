/** Scenarios that a VM can run: its tree, its GFNs, and entries of its tables. */
import { describeTree, isSameTree, type Sizes } from '../../impl/vm/size.ts';
import type { VmKind } from '../../impl/vm/vm.ts';
import { UnusableScenario } from './run-errors.ts';
import { vmOf, type Operation, type Scenario } from './scenarios/scenario.ts';
import { formatOperation } from './scenarios/text.ts';

/** The memslots of an ordinary VM, and the hole behind them, are at the first GFNs. */
const GROUPS_OF_A_VM = 4;

/** @throws UnusableScenario if a VM of these sizes cannot run the scenario */
export function assertUsable(scenario: Scenario, sizes: Sizes): void {
  const { tree } = vmOf(scenario);
  if (!isSameTree(tree, sizes)) {
    throw new UnusableScenario(
      `the scenario is for ${describeTree(tree) || 'the default tree'}, ` +
        `and the VM has ${describeTree(sizes) || 'the default tree'}`,
    );
  }
  for (const { operations } of scenario.actors)
    for (const operation of operations) assertInside(operation, scenario.vm, sizes);
}

/** @throws UnusableScenario if the operation is about what the guest does not have */
function assertInside(operation: Operation, kind: VmKind, sizes: Sizes): void {
  const { gfn, level = 1 } = operation;
  const { fanout, guestPages, rootLevel, usedPages } = sizes;
  const end = kind === 'vm' ? GROUPS_OF_A_VM * fanout : guestPages;
  if (gfn >= end) refuse(operation, `the GFNs of the guest end at ${end - 1}`);
  if (level === 1) return;
  if (level > rootLevel)
    refuse(operation, `the tree has ${rootLevel + 1} levels, and no entry so high`);
  if ((Math.floor(gfn / fanout ** level) + 1) * fanout ** level > usedPages)
    refuse(operation, `it concerns GFN ${usedPages} and above, which scenarios do not use`);
}

function refuse(operation: Operation, why: string): never {
  throw new UnusableScenario(`${formatOperation(operation)}: ${why}`);
}
