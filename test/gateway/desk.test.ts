import { expect, it } from "vitest";
import { Desk, type Seat, type Task } from "../../src/gateway/desk.ts";
import { Suspects } from "../../src/gateway/suspects.ts";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import { Deferred } from "../../src/runtime/consumer/outcome.ts";

it("gives a message alone after two deaths with it, and not any more once somebody survived it", async () => {
  const desk = new Desk({
    timeoutMs: 60_000,
    tasksMax: Number.POSITIVE_INFINITY,
    clock: systemClock(),
    name: "events g a.b",
    suspects: new Suspects(),
  });
  let given: Task | undefined;
  const seat: Seat = {
    load: 0,
    canTake: () => true,
    give: (task) => {
      given = task;
    },
    withdraw: () => {},
    end: () => {},
    stopping: () => {},
  };
  const ctx = { message: { id: "m" } } as HandlerContext;
  /** The message comes to the seat. */
  const comes = (): { task: Task; ended: Promise<unknown> } => {
    const ended = desk.take({}, 1, new AbortController().signal, ctx);
    if (given === undefined) throw new Error("the seat got nothing");
    return { task: given, ended };
  };
  for (let death = 0; death < 2; death++) {
    desk.sit(seat);
    const { task, ended } = comes();
    expect(task.alone).toBe(false);
    desk.leave(seat, [task], true, false);
    await expect(ended).rejects.toBeInstanceOf(Deferred);
  }
  desk.sit(seat);
  const survived = comes();
  expect(survived.task.alone).toBe(true);
  desk.end(survived.task, undefined, "done");
  expect(await survived.ended).toBe("done");
  const again = comes();
  expect(again.task.alone).toBe(false);
  desk.end(again.task, undefined);
  await again.ended;
});
