/**
 * `npm run campaign`: checks the policies that are expected to pass, a process each, as many at
 * once as there are processors, and writes docs/campaign.json and docs/campaign.md. `--runs` says
 * how many histories each; when policies are named, only they are checked, and what is known of the
 * others stays.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Argument, Command } from 'commander';
import {
  CAMPAIGN,
  markdownOfCampaign,
  type CampaignResult,
} from '../properties/checker/surveys/campaign.ts';
import { runsOption, seedOption, type Knobs } from './options.ts';
import { print } from './output.ts';

const SEPT = fileURLToPath(new URL('bin.mjs', import.meta.url));
const DOCUMENT = new URL('../docs/campaign.md', import.meta.url);
const RESULTS = new URL('../docs/campaign.json', import.meta.url);
const DEFAULT_RUNS = 1_000_000;
const DEFAULT_SEED = 2026;
const MAX_OUTPUT = 1 << 26;

/** One policy, by the command that anybody else would use; it ends with 1 when it found something. */
const checked = (policy: string, runs: number, seed: number): Promise<CampaignResult> =>
  new Promise((resolve, reject) => {
    const args = [SEPT, 'check', policy, '--runs', String(runs), '--seed', String(seed), '--json'];
    execFile(process.execPath, args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (stdout === '') return reject(new Error(stderr.trim() || error?.message));
      const result = JSON.parse(stdout) as CampaignResult; // printed by `sept check`
      print(`${policy}: ${result.verdict} (${result.histories} histories)`);
      for (const { rule, history } of result.violations)
        print(`  ${rule}: sept show ${policy} '${history}'`);
      resolve(result);
    });
  });

/** What earlier campaigns have found. */
const earlier = (): CampaignResult[] =>
  existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as CampaignResult[]) : []; // written below

await new Command('campaign')
  .addArgument(
    new Argument('[policies...]', 'those of the campaign that are to be checked').choices(CAMPAIGN),
  )
  .addOption(runsOption())
  .addOption(seedOption())
  .action(
    async (
      policies: string[],
      { runs = DEFAULT_RUNS, seed = DEFAULT_SEED }: Pick<Knobs, 'runs' | 'seed'>,
    ) => {
      const results = new Map(earlier().map((result) => [result.policy, result]));
      const waiting = policies.length > 0 ? policies : [...CAMPAIGN];
      const worker = async (): Promise<void> => {
        for (let policy = waiting.shift(); policy !== undefined; policy = waiting.shift()) {
          results.set(policy, await checked(policy, runs, seed));
        }
      };
      await Promise.all(Array.from({ length: availableParallelism() }, worker));
      const inOrder = CAMPAIGN.flatMap((policy) => results.get(policy) ?? []);
      writeFileSync(RESULTS, `${JSON.stringify(inOrder, null, 1)}\n`);
      writeFileSync(DOCUMENT, `${markdownOfCampaign(inOrder)}\n`);
    },
  )
  .parseAsync();
