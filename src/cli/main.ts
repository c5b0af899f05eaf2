#!/usr/bin/env node
/** The command line: npx meshbus <command>. */
import { DOCTOR_USAGE, doctor } from "./doctor/doctor.ts";

const USAGE = `meshbus <command>

${DOCTOR_USAGE}`;

const [command, ...args] = process.argv.slice(2);
try {
  if (command === "doctor" && !args.includes("--help")) {
    process.exitCode = await doctor(args);
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
