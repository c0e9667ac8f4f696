/**
 * `npm run campaign`: checks the policies that are expected to pass, in one process each and on all
 * processors, and writes docs/campaign.json and docs/campaign.md. `--runs` is the number of
 * scenarios per policy. If policies are named, only their results change.
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
import { runsOption, seedOption, type SharedOptions } from './options.ts';
import { print } from './output.ts';

const SEPT = fileURLToPath(new URL('bin.mjs', import.meta.url));
const DOCUMENT = new URL('../docs/campaign.md', import.meta.url);
const RESULTS = new URL('../docs/campaign.json', import.meta.url);
const DEFAULT_RUNS = 1_000_000;
const DEFAULT_SEED = 2026;
const MAX_OUTPUT = 1 << 26;

/** Checks one policy by `sept check`, which exits with 1 if it finds something. */
const checked = (policy: string, runs: number, seed: number): Promise<CampaignResult> =>
  new Promise((resolve, reject) => {
    const args = [SEPT, 'check', policy, '--runs', String(runs), '--seed', String(seed), '--json'];
    execFile(process.execPath, args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (stdout === '') return reject(new Error(stderr.trim() || error?.message));
      const result = JSON.parse(stdout) as CampaignResult; // printed by `sept check`
      print(`${policy}: ${result.verdict} (${result.histories} scenarios)`);
      for (const { rule, history } of result.violations)
        print(`  ${rule}: sept show ${policy} '${history}'`);
      resolve(result);
    });
  });

/** Results of earlier campaigns. */
const earlier = (): CampaignResult[] =>
  existsSync(RESULTS)
    ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as CampaignResult[]) // written below
    : [];

await new Command('campaign')
  .addArgument(
    new Argument('[policies...]', 'policies of the campaign to check (default: all)').choices(
      CAMPAIGN,
    ),
  )
  .addOption(runsOption())
  .addOption(seedOption())
  .action(
    async (
      policies: string[],
      { runs = DEFAULT_RUNS, seed = DEFAULT_SEED }: Pick<SharedOptions, 'runs' | 'seed'>,
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
