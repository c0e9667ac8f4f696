#!/usr/bin/env node
// Node refuses to strip types below node_modules, so an installed package brings its own
// transformer. It is registered for both module systems: a policy named on the command line is
// CommonJS to Node wherever no package.json beside it says "type": "module".
import { register as registerCommonJs } from "tsx/cjs/api";
import { register as registerEsm } from "tsx/esm/api";

registerCommonJs();
registerEsm();
await import("./main.ts");
