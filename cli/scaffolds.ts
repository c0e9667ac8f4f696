/** Files that `sept new` writes: they run as they are, and comments describe what to change. */

/** Name and location of a scaffold. */
export interface Place {
  readonly name: string;
  /** The command that checks the file. */
  readonly command: string;
  /** The specifier from which the file imports a part of this package. */
  from(part: Part): string;
}

/** A part of this package. */
export type Part = 'impl' | 'properties' | 'spec' | 'testing';

export const policyScaffold = ({ name, command, from }: Place): string => `/**
 * ${name}: describe what it does differently, why that may be correct, and where it was proposed.
 *
 *     ${command}
 */
import { definePolicy, frozenMirror } from '${from('impl')}';

export default definePolicy({
  name: '${name}',
  title: 'frozen-mirror, until something is changed here',
  proposed: 'a message, a patch',

  // Rules that it is expected to break, and why; tests check that it does. Empty: it is expected to pass.
  //   breaks: [{ rule: 'S01', why: 'the call meets a table that is blocked' }],
  breaks: [],

  // An entry point: the host reclaims \`pages\` pages from \`gfn\` on. Each yield is a step, and the code between two
  // steps is atomic. So every call is a \`yield*\`, and every loop needs one.
  *unmap(vm, gfn, pages) {
    yield* frozenMirror.unmap(vm, gfn, pages);
  },

  // The type Policy lists the other entry points. Those that are absent here are those of the base, the second
  // argument: frozenMirror, exclusive, or any other policy.
}, frozenMirror);
`;

export const moduleScaffold =
  (version: string) =>
  ({ name, command, from }: Place): string =>
    `/**
 * ${name}: describe what it does differently, and where that was proposed or observed.
 *
 *     ${command}
 */
import { defineModule, functionOf } from '${from('impl')}';

const rangeBlock = functionOf('${version}', 'TDH.MEM.RANGE.BLOCK');

export default defineModule('${version}', {
  name: '${name}',

  // Rows of the lock table, or parts of rows, that differ. SHARED and EXCLUSIVE are in ${from('spec')}.
  //   septLocks: { 'TDH.MEM.RANGE.BLOCK': { tree: SHARED } },
  septLocks: {},

  // Features that differ: the other fields of the type VersionData.
  //   maxVcpus: 64,

  // A function, or a list of them: each replaces the one of its name. Each yield is a step, and the code between two
  // steps is atomic. \`call\` has the operands and the locks that it holds; \`release\` lists their roles in the order
  // in which the call releases them when it ends.
  functions: {
    ...rangeBlock,
    *run(tdx, call) {
      return yield* rangeBlock.run(tdx, call);
    },
  },
});
`;

export const moduleTestScaffold =
  (file: string) =>
  ({ name, from }: Place): string =>
    `/** ${name}: each rule is a test, of a policy on this module. */
import { frozenMirror } from '${from('impl')}';
import { conformance } from '${from('testing')}';
import module from './${name}.ts';

conformance(frozenMirror, { modules: [module], moduleHandle: '${file}' });
`;

export const propertyScaffold =
  (id: string) =>
  ({ name, command, from }: Place): string =>
    `/**
 * ${name}: describe what has to hold, and what goes wrong otherwise.
 *
 *     ${command}
 */
import type { VmRule } from '${from('properties')}';

export default {
  // No other rule may have this id.
  id: '${id}',
  // required: a policy passes only if the rule was exercised; stochastic: it need not be.
  level: 'required',
  // The title of reports and tests.
  statement: 'A page is removed from the Secure EPT only with mmu_lock held for write.',
  source: 'a message, a document and its section, a file and its function',
  // Why the rule exists, and what to look at when it breaks. Reports print the hint.
  intent: 'what goes wrong otherwise',
  hint: 'a function, a lock, an order of calls',
  // Versions of the TDX module for which the rule holds; '*' is all.
  versions: ['*'],

  // Called once for a VM. A rule clears what it remembers of a run in vm.m.onReset(() => { … }).
  watch(vm, report) {
    vm.listeners.push({
      answered(call) {
        if (call.name !== 'TDH.MEM.PAGE.REMOVE') return;
        report.exercised();
        if (vm.mmuLock.heldForWrite(vm.m.current)) return;
        report.violated('mmu_lock held for write', \`\${call.name} without\`);
      },
    });
  },

  // atRest(vm, report) { … } checks when every actor has ended, atEnd(vm, report) { … } after teardown.
} satisfies VmRule;
`;
