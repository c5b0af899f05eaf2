/** `npm run check:imports`: fails on a forbidden import, or when src was not read. */

import { checkImports, loadImportRules, MODULE_COUNT_MIN } from "./import-check.ts";

const rootPath = process.cwd();
const { moduleCount, violations } = await checkImports(rootPath, await loadImportRules(rootPath));
for (const { rule, from, to, reason } of violations) {
  console.error(`${from} -> ${to}: ${rule} (${reason})`);
}
if (moduleCount < MODULE_COUNT_MIN) {
  console.error(`read ${moduleCount} modules, below the ${MODULE_COUNT_MIN} that src has at least`);
}
if (violations.length > 0 || moduleCount < MODULE_COUNT_MIN) process.exitCode = 1;
else console.log(`imports: ${moduleCount} modules, no violation`);
