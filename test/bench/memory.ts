/** Measures the memory that judging traces takes, in a process of its own, like `sept trace`. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { judgeTraceFile } from '../../properties/traces/files.ts';

const KIB_IN_MB = (1000 / 1024) * 1000;

/** Peak of the resident set, in MB, over all files, one after the other. */
export const peakMemory = (files: readonly string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), files);
    child.on('message', (kib) => resolve(Number(kib) / KIB_IN_MB));
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code !== 0) reject(new Error(`judging traces ended with ${code}`));
    });
  });

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of process.argv.slice(2)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as the command does
    await judgeTraceFile(file, {});
  }
  process.send(process.resourceUsage().maxRSS);
}
