/** Runs one example by name: npm run example -- hello */
import { existsSync, readdirSync } from "node:fs";

const [name = ""] = process.argv.splice(2, 1);
const names = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

if (names.includes(name) && existsSync(new URL(`./${name}/main.js`, import.meta.url))) {
  await import(`./${name}/main.js`);
} else {
  console.error(`npm run example -- <name>, where name is one of: ${names.join(", ")}`);
  process.exitCode = 1;
}
