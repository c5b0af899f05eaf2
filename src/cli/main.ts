#!/usr/bin/env node
/** The command line: npx meshbus <command>. */
import { DOCTOR_USAGE, doctor } from "./doctor/doctor.ts";
import { KEYS_USAGE } from "./keys/keys-usage.ts";

const USAGE = `meshbus <command>

${DOCTOR_USAGE}
${KEYS_USAGE}`;

const [command, ...args] = process.argv.slice(2);
try {
  if (command === "doctor" && !args.includes("--help")) {
    process.exitCode = await doctor(args);
  } else if (command === "keys") {
    // What makes certificates is loaded by who needs it.
    const { keys } = await import("./keys/keys.ts");
    process.exitCode = await keys(args);
  } else {
    const asked = command === undefined || command === "--help" || command === "doctor";
    process.stdout.write(USAGE);
    if (!asked) {
      process.stderr.write(`meshbus: there is no command "${command}"\n`);
      process.exitCode = 2;
    }
  }
} catch (error) {
  process.stderr.write(`meshbus: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
