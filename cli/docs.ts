/** `npm run docs`: writes the documents that are generated, docs/rules.md and docs/counterexamples.md. */
import { writeFileSync } from 'node:fs';
import { POLICIES } from '../impl/index.ts';
import { catalogue, markdownOf } from '../properties/reports/catalogue.ts';
import { markdownOfSurveys, surveyAll } from '../properties/survey.ts';

const docs = new URL('../docs/', import.meta.url);
writeFileSync(new URL('rules.md', docs), `${markdownOf(catalogue())}\n`);
writeFileSync(new URL('counterexamples.md', docs), `${markdownOfSurveys(surveyAll(POLICIES))}\n`);
