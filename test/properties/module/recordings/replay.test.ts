/** The judge of sequential recordings: nothing for the real module, and every alteration. */
import { describe, expect, test } from 'vitest';
import {
  replayFile,
  replayLine,
  type Replayed,
} from '../../../../properties/module/recordings/replay/replay.ts';
import { SummaryBuilder } from '../../../../properties/module/recordings/replay/summary.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import { at, fixture, type Fixture } from './fixture.ts';
import { testWith } from './recorded.ts';

const universes = new Universes();
const replay = (value: unknown): Replayed => replayLine({ where: 'own:1', value }, universes);
const altered = (change: (scenario: Fixture) => void): Replayed => {
  const scenario = fixture();
  change(scenario);
  return replay(scenario);
};
const found = ({ differences }: Replayed): string[] =>
  differences.map(({ step, field, recorded, ours }) => `${step} ${field}: ${recorded} / ${ours}`);

describe('recordings of the real module', () => {
  for (const [module, name] of [
    ['1.0.03', 'sequential.jsonl.gz'],
    ['1.0.03', 'sequential-1.5-inputs.jsonl.gz'],
    ['1.0.03', 'lifecycle.jsonl.gz'],
    ['1.5.01', 'sequential.jsonl.gz'],
    ['1.5.01', 'lifecycle.jsonl.gz'],
    ['1.5.05', 'sequential.jsonl.gz'],
    ['1.5.05', 'lifecycle.jsonl.gz'],
    ['1.5.05', 'lifecycle-new.jsonl.gz'],
  ] as const) {
    const title = `replaying ${name} of module ${module} shows no difference`;
    const body = async (path: string): Promise<void> => {
      const builder = new SummaryBuilder(5);
      for await (const replayed of replayFile(path)) builder.add(replayed);
      const { scenarios, steps, differing, differences, pairs } = builder.summary;
      console.log(
        `${module}, ${name}: ${scenarios} scenarios, ${steps} steps, ` +
          `${pairs.length} (operation, status) pairs`,
      );
      expect(differences).toEqual([]);
      expect(differing).toBe(0);
      expect(scenarios).toBeGreaterThan(0);
      expect(pairs.reduce((sum, pair) => sum + pair.count, 0)).toBe(steps);
    };
    testWith(name, title, body, module);
  }
});

describe('an altered recording', () => {
  test('replaying the unaltered fixture shows no difference', () => {
    expect(replay(fixture())).toMatchObject({
      scenario: 'own-0',
      steps: 7,
      differing: 0,
      differences: [],
    });
  });

  const ALTERATIONS: [string, (scenario: Fixture) => void, string[]][] = [
    [
      'a status',
      (s) => {
        at(s.steps, 3)['status'] = '0xc000030000000008';
      },
      ['3 status: 0xc000030000000008 / 0x0'],
    ],
    [
      'a status name',
      (s) => {
        at(s.steps, 3)['statusName'] = 'TDX_OPERAND_BUSY';
      },
      ['3 statusName: TDX_OPERAND_BUSY / TDX_SUCCESS'],
    ],
    [
      'the kind of result',
      (s) => {
        at(s.steps, 0)['result'] = 'TD_EXIT';
      },
      ['0 result: TD_EXIT / RETURN'],
    ],
    [
      'an output register',
      (s) => {
        at(s.steps, 4).out = { rcx: '0x0', rdx: '0x400' };
      },
      ['4 out.rdx: 0x400 / 0x0'],
    ],
    [
      'a register that the function leaves alone',
      (s) => {
        at(s.steps, 5).out = { rcx: '0x0', rdx: '0x0' };
      },
      ['5 out.rcx: 0x0 / 0x100000000'],
    ],
    [
      'an entry after the step',
      (s) => {
        at(s.steps, 3).sept = { level: 0, state: 'MAPPED', raw: '0x80000001002040f7' };
      },
      ['3 sept.raw: 0x80000001002040f7 / 0x80000001002030f7'],
    ],
    [
      'an entry before the step',
      (s) => {
        at(s.steps, 6).septBefore = {
          level: 0,
          state: 'PENDING_BLOCKED',
          raw: '0x80800001002030f0',
        };
      },
      ['6 septBefore.state: PENDING_BLOCKED / BLOCKED'],
    ],
    [
      'where the walk ended',
      (s) => {
        at(s.steps, 2).septBefore = { walkStoppedAt: 2, state: 'FREE', raw: '0x80e0000000000000' };
      },
      ['2 septBefore.level: null / 1', '2 septBefore.walkStoppedAt: 2 / null'],
    ],
    [
      'the epoch',
      (s) => {
        at(s.steps, 5).epoch = { tdEpoch: 3, refcount: [0, 0] };
      },
      ['5 epoch.tdEpoch: 3 / 2'],
    ],
    [
      'a REFCOUNT',
      (s) => {
        at(s.steps, 5).epoch = { tdEpoch: 2, refcount: [0, 1] };
      },
      ['5 epoch.refcount[1]: 1 / 0'],
    ],
    [
      'OP_STATE',
      (s) => {
        at(s.steps, 1)['opState'] = 'RUNNABLE';
      },
      ['1 opState: RUNNABLE / INITIALIZED'],
    ],
    [
      'CHLDCNT',
      (s) => {
        at(s.steps, 1)['chldcnt'] = 15;
      },
      ['1 chldcnt: 15 / 14'],
    ],
    [
      'an exit that did not happen',
      (s) => {
        at(s.steps, 1)['vmExitReason'] = 48;
      },
      ['1 vmExitReason: 48 / null'],
    ],
    [
      'the type of a page at the end',
      (s) => {
        at(s.final.pamt, 5)['type'] = 'EPT';
      },
      ['final pamt[0x100203000 4K].type: EPT / REG'],
    ],
    [
      'the BEPOCH of a page at the end',
      (s) => {
        at(s.final.pamt, 5)['bepoch'] = 2;
      },
      ['final pamt[0x100203000 4K].bepoch: 2 / 1'],
    ],
    [
      'a lock that is held at the end',
      (s) => {
        at(s.final.pamt, 0)['lockRaw'] = 4;
      },
      ['final pamt[0x100000000 4K].lockRaw: 4 / 0'],
    ],
    [
      'a page missing at the end',
      (s) => {
        s.final.pamt.splice(5, 1);
      },
      ['final pamt[0x100203000 4K]: absent / REG'],
    ],
    [
      'one page too many at the end',
      (s) => {
        at(s.final.pamt, 4)['count'] = 4;
        s.final.pamt.splice(5, 1);
      },
      ['final pamt[0x100203000 4K].type: EPT / REG', 'final pamt[0x100203000 4K].bepoch: 0 / 1'],
    ],
    [
      'an entry at the end',
      (s) => {
        // the fixture has four
        at(at(s.final.tds, 0)['sept'] as { raw: string }[], 3).raw = '0x80000001002030f0';
      },
      [
        'final tds[0].sept[0x40000000 level 0]: MAPPED 0x80000001002030f0 / ' +
          'MAPPED 0x80000001002030f7',
      ],
    ],
    [
      'an entry missing at the end',
      (s) => {
        (at(s.final.tds, 0)['sept'] as unknown[]).pop();
      },
      ['final tds[0].sept[0x40000000 level 0]: FREE / MAPPED 0x100203000'],
    ],
    [
      'a vCPU at the end',
      (s) => {
        at(s.final.tds, 0)['vcpus'] = [{ state: 4, vcpuEpoch: 0, assocLp: -1 }];
      },
      ['final tds[0].vcpus[0].state: 4 / 2'],
    ],
    [
      'a tree lock at the end',
      (s) => {
        at(s.final.tds, 0)['locks'] = { septTree: 2, opState: 0, epoch: 0 };
      },
      ['final tds[0].locks.septTree: 2 / 0'],
    ],
  ];
  test.each(ALTERATIONS)(
    'replay reports exactly the altered field: %s',
    (_what, change, expected) => {
      const replayed = altered(change);
      expect(found(replayed)).toEqual(expected);
      expect(replayed.differing).toBe(1);
    },
  );

  test('replay counts a step once, and the final dump as one more', () => {
    const replayed = altered((s) => {
      at(s.steps, 1)['opState'] = 'RUNNABLE';
      at(s.steps, 1)['chldcnt'] = 15;
      at(s.final.pamt, 5)['bepoch'] = 2;
    });
    expect(replayed.differences).toHaveLength(3);
    expect(replayed.differing).toBe(2);
  });

  test('replay reports a different number of repeated calls', () => {
    const replayed = altered((s) => {
      const add = at(s.steps, 3);
      add['repeat'] = { count: 2, gpaStride: '0x1000', hpaStride: '0x0', executed: 1 };
    });
    // the second call finds its page in use, so it is the last one
    expect(found(replayed).slice(0, 2)).toEqual([
      '3 status: 0x0000000000000000 / 0xc000030000000008',
      '3 statusName: TDX_SUCCESS / TDX_PAGE_METADATA_INCORRECT',
    ]);
    expect(found(replayed)).toContain('3 repeat.executed: 1 / 2');
  });

  test('replay compares only the state after a step of a vCPU that is outside the guest', () => {
    const stray = { op: 'TDG.MEM.PAGE.ACCEPT', result: 'RETURN', status: '0x0000000000000030' };
    const outside = (more: object): Replayed =>
      altered((s) => {
        const last = at(s.steps, s.steps.length - 1);
        const { opState, chldcnt } = last;
        const state = { opState, chldcnt, ...more };
        const regs = { rcx: '0x0' };
        s.steps.push({ i: 7, lp: 0, in: { td: 0, vcpu: 0, regs }, ...stray, ...state });
      });
    expect([found(outside({})), outside({}).strays]).toEqual([[], 1]);
    expect(found(outside({ chldcnt: 99 }))).toEqual([expect.stringMatching(/^7 chldcnt: 99/)]);
    expect(outside({ result: 'TD_EXIT' }).strays, 'an exit was recorded').toBe(0);
  });
});
