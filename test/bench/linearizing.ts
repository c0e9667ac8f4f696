/** Measures the checker of linearizability on histories like those of porcupine's benchmark. */
import {
  check,
  KEY_VALUE,
  REGISTER,
  type Outcome,
} from '../../properties/linearizability/index.ts';
import { keyValueHistory, registerHistory } from './histories.ts';
import { median } from './measure.ts';

export interface Linearizing {
  readonly name: string;
  readonly operations: number;
  /** Milliseconds: the median of the passes. */
  readonly milliseconds: number;
  /** Milliseconds that porcupine (Go) took for its own histories of that kind. */
  readonly porcupine: number;
}

const REGISTER_LOGS = 102;

interface Job {
  readonly name: string;
  readonly porcupine: number;
  readonly operations: number;
  run(): Outcome<unknown>['verdict'][];
}

/** The jobs. All of their histories are explained. */
function jobs(): Job[] {
  const logs = Array.from({ length: REGISTER_LOGS }, (_, seed) => registerHistory(seed));
  return [
    {
      name: `register, ${REGISTER_LOGS} logs`,
      porcupine: 442,
      operations: logs.flat().length,
      run: () => logs.map((ops) => check(REGISTER, ops).verdict),
    },
    ...(
      [
        [10, 337, 1.2],
        [50, 1712, 170],
      ] as const
    ).map(([clients, operations, porcupine]): Job => {
      const ops = keyValueHistory(5, clients, operations);
      return {
        name: `key-value, ${clients} clients`,
        porcupine,
        operations,
        run: () => [check(KEY_VALUE, ops).verdict],
      };
    }),
  ];
}

/** Number of passes before the measurement: the first ones are slow because code is compiled. */
const WARM_UP = 20;

/** Runs each job `passes` times. */
export const linearizing = (passes: number): Linearizing[] =>
  jobs().map(({ name, porcupine, operations, run }) => {
    for (let i = 0; i < WARM_UP; i++) run();
    const times = Array.from({ length: passes }, () => {
      const start = performance.now();
      const verdicts = run();
      const took = performance.now() - start;
      if (verdicts.some((verdict) => verdict !== 'explained'))
        throw new Error(`${name}: not explained`);
      return took;
    });
    return { name, operations, milliseconds: median(times), porcupine };
  });
