import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SEPT = fileURLToPath(new URL('../../cli/bin.mjs', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the `sept` command as a user would. */
export const sept = (...args: string[]): Promise<Ran> => new Promise((resolve, reject) => {
  execFile(process.execPath, [SEPT, ...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
    const code = error === null ? 0 : error.code;
    if (typeof code === 'number') resolve({ code, stdout, stderr });
    else reject(error ?? new Error('no exit code'));
  });
});
