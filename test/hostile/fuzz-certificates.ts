/** Certificates, lists and proofs that are right but for some bytes: none is accepted, none throws. */
import { isRefusal } from "../../src/ports/security.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { diceOf } from "./mutate-protobuf.ts";

const RUNS_PART = 1_000;

export const FUZZ_CERTIFICATES: HostileCase = {
  name: "fuzzed-certificates",
  async run({ runs, seed, log }) {
    using keys = new KeysWorld("shop");
    const tally = new Tally(log);
    const dice = diceOf(seed);
    const reader = keys.node({ service: "billing" });
    const { chain } = keys.node({ service: "orders" }).self;
    const list = reader.revocations().bytes;
    const nowMs = Date.now();
    for (let run = 0; run < runs / RUNS_PART; run++) {
      const fake = chain.map((der) => Buffer.from(der));
      const victim = fake[dice.below(fake.length)] as Buffer;
      for (let left = 1 + dice.below(3); left > 0; left--) {
        const at = dice.below(victim.length);
        victim[at] = (victim[at] as number) ^ (1 << dice.below(8));
      }
      const isSame = fake.every((der, at) => der.equals(chain[at] as Uint8Array));
      const forged = Buffer.from(list);
      const at = dice.below(forged.length);
      forged[at] = (forged[at] as number) ^ (1 << dice.below(8));
      let why: string | undefined;
      try {
        if (!isSame && !isRefusal(reader.verify(fake, nowMs))) why = "a forged certificate";
        if (reader.learnRevocations(forged) === "new") why = "a forged list";
      } catch (error) {
        why = String(error);
      }
      tally.check(why === undefined, () => `${why}: ${victim.toString("hex")}`);
    }
    return tally.outcome;
  },
};
