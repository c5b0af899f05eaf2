/**
 * Order within a key when members come and go: what a member handled before another took over is stale, and
 * when the key comes back to it, it handles those messages anew.
 */
import { afterEach, expect, it } from "vitest";
import { Chain, WORKER } from "./held-output-chain.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

/** So many that some keys come back to b1, whatever the ids; so few that all fits the first credit. */
const KEYS = 8;
const FIRST = range(0, KEYS);
const SECOND = range(KEYS, KEYS);
/** B2 takes the first message of each key, and nothing behind it. */
const WINDOW = { ...WORKER.options, prefetch: KEYS, concurrency: KEYS };

it("a member handles anew what it had handled before an earlier message of the key moved on", async () => {
  const chain = await Chain.start(await world());
  const before = await chain.join("b1");
  await before.stop();
  await before.kill();
  for (const n of [...FIRST, ...SECOND]) {
    await chain.a.publish("job.posted", n, { options: { key: `k${n % KEYS}` } });
  }
  // They were handled and their output is held; nobody has heard of it.
  const rule = { direction: "out", frame: "settle", having: "held", when: "before" } as const;
  const doomed = await chain.world.start("b1", { kill: rule });
  await chain.world.link(doomed, chain.a, chain.c);
  doomed.listen(WORKER).catch(() => {}); // it may die before it answers
  expect(await doomed.exited).toBe("SIGKILL");
  expect(await chain.heldBy("b1")).toBeGreaterThan(KEYS);

  const behaviour = [{ type: "slow", only: FIRST, ms: 2_000 } as const];
  const b2 = await chain.join("b2", undefined, { options: WINDOW, behaviour });
  await b2.sees("the first of each key run", () => b2.numbers("start", "jobs").length === KEYS);
  const back = await chain.join("b1");

  await chain.c.handledAll("events", [...FIRST, ...SECOND]);
  const anew = [...b2.numbers("start", "jobs"), ...back.numbers("start", "jobs")];
  expect(anew.sort((a, b) => a - b)).toEqual([...FIRST, ...SECOND]);
  await chain.c.handledAll("commands", [...FIRST, ...SECOND]);
  for (const name of ["events", "commands"]) {
    const numbers = chain.c.numbers("end", name).sort((a, b) => a - b);
    expect(numbers).toEqual([...FIRST, ...SECOND]);
  }
});
