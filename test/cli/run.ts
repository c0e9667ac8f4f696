/** Runs of the `sept` command: in this process, and as a process. */
import { execFile } from 'node:child_process';
import { vi } from 'vitest';
import { main } from '../../cli/main.ts';
import { pathOf } from '../support/repository.ts';

const SEPT = pathOf('cli/bin.mjs');

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Follows a command line in this process, which takes less time than starting another one. */
export async function sept(...args: string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  try {
    return { code: await main(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs the `sept` command as a user would, also on files that are written in TypeScript. */
export const septProcess = (...args: string[]): Promise<Ran> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [SEPT, ...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(error ?? new Error('no exit code'));
    });
  });
