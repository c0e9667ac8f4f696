/** `npm run docs`: writes the generated documents, or only those named, e.g. `mutants`. */
import { fileURLToPath } from 'node:url';
import { POLICIES } from '../impl/index.ts';
import { catalogue, markdownOf } from '../properties/checker/reports/catalogue.ts';
import { markdownOfMutants, surveyMutants } from '../properties/checker/surveys/mutants.ts';
import { markdownOfPolicies, surveyPolicies } from '../properties/checker/surveys/policies.ts';
import {
  markdownOfPolicyVersions,
  surveyPolicyVersions,
} from '../properties/checker/surveys/policy-versions.ts';
import {
  markdownOfQuestion,
  surveyBranches,
  surveyQuestion,
} from '../properties/checker/surveys/question.ts';
import { markdownOfWhatIf, surveyWhatIf } from '../properties/checker/surveys/what-if.ts';
import { markdownOfVersions } from '../properties/module/versions/document.ts';
import { writeOutput } from './output-file.ts';
import { warn } from './output.ts';

const DOCUMENTS: Readonly<Record<string, () => string>> = {
  rules: () => markdownOf(catalogue()),
  counterexamples: () => markdownOfQuestion(surveyQuestion(), surveyBranches()),
  policies: () => markdownOfPolicies(surveyPolicies(POLICIES)),
  'policy-versions': () => markdownOfPolicyVersions(surveyPolicyVersions(POLICIES)),
  mutants: () => markdownOfMutants(surveyMutants()),
  'what-if': () => markdownOfWhatIf(surveyWhatIf()),
  'module-versions': markdownOfVersions,
};

const asked = process.argv.slice(2);
for (const name of asked.length > 0 ? asked : Object.keys(DOCUMENTS)) {
  const write = DOCUMENTS[name];
  if (write === undefined) {
    warn(`no document "${name}"; documents: ${Object.keys(DOCUMENTS).join(', ')}`);
    process.exitCode = 2;
    break;
  }
  writeOutput(fileURLToPath(new URL(`../docs/${name}.md`, import.meta.url)), `${write()}\n`);
}
