/**
 * `npm run hostile`: every way to attack a node that this repository knows, tried on real nodes.
 *
 * `--json` makes the last line {"cases":[{"name","tried","broken"}]}; `--runs N` sets the fuzzed inputs (default a
 * million), `--seed N` where they begin, `--case NAME` picks one. Ends with 1 if anything broke.
 */
import { parseArgs } from "node:util";
import { AUTHORISED_FLOODER } from "./authorised-flooder.ts";
import { FORGED_ENTRIES } from "./forged-entries.ts";
import { FORGED_MDNS } from "./forged-mdns.ts";
import { FUZZ_CERTIFICATES } from "./fuzz-certificates.ts";
import { FLOODS, FUZZ_FRAMES } from "./fuzz-frames.ts";
import { HANDSHAKES } from "./handshakes.ts";
import type { HostileCase, Outcome } from "./hostile-case.ts";
import { RIGHTS_MATRIX } from "./rights-matrix.ts";
import { OVERSIZE, STUCK_SOCKETS } from "./sockets.ts";

const CASES: readonly HostileCase[] = [
  FUZZ_FRAMES,
  FLOODS,
  FUZZ_CERTIFICATES,
  OVERSIZE,
  ...HANDSHAKES,
  RIGHTS_MATRIX,
  FORGED_MDNS,
  FORGED_ENTRIES,
  STUCK_SOCKETS,
  AUTHORISED_FLOODER,
];

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      runs: { type: "string", default: "1000000" },
      seed: { type: "string", default: "1" },
      case: { type: "string" },
    },
  });
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const options = { runs: Number(values.runs), seed: Number(values.seed), log };
  const chosen = CASES.filter(({ name }) => values.case === undefined || name === values.case);
  if (chosen.length === 0)
    throw new Error(`no case ${values.case}: ${CASES.map(({ name }) => name).join(", ")}`);
  const cases: ({ readonly name: string } & Outcome)[] = [];
  for (const one of chosen) {
    const startMs = performance.now();
    const outcome = await one.run(options);
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    cases.push({ name: one.name, ...outcome });
    if (!values.json)
      log(`${one.name}: ${outcome.tried} tried, ${outcome.broken} broken (${seconds} s)`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ cases })}\n`);
  process.exitCode = cases.some(({ broken }) => broken > 0) ? 1 : 0;
};

await main();
