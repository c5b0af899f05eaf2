import { describe, expect, it } from "vitest";
import { VirtualProcess } from "../../src/testing/virtual-process.ts";
import { VirtualTime } from "../../src/testing/virtual-time.ts";

const fresh = (): { time: VirtualTime; errors: unknown[] } => {
  const errors: unknown[] = [];
  return { time: new VirtualTime((error) => errors.push(error)), errors };
};

describe("virtual time", () => {
  it("runs events by time, then in the order they were scheduled", async () => {
    const { time } = fresh();
    const ran: string[] = [];
    time.after(5, () => ran.push("late"));
    time.after(1, () => ran.push("first"));
    time.after(1, () => ran.push("second"));
    time.cancel(time.after(2, () => ran.push("cancelled")));
    await time.run({ untilMs: 10 });
    expect(ran).toEqual(["first", "second", "late"]);
    expect(time.nowMs).toBe(10);
  });

  it("ends a turn only after every promise reaction of the event, however deep", async () => {
    const { time } = fresh();
    const ran: string[] = [];
    time.after(1, () => {
      time.endOfTurn(() => ran.push("end of turn"));
      void (async () => {
        for (let n = 0; n < 50; n++) await Promise.resolve();
        ran.push("fifty awaits");
      })();
    });
    time.after(1, () => ran.push("next event"));
    await time.run({ untilMs: 2 });
    expect(ran).toEqual(["fifty awaits", "end of turn", "next event"]);
  });

  it("makes real time and randomness throw while it runs, and gives them back", async () => {
    const { time, errors } = fresh();
    for (const leak of [
      () => Date.now(),
      () => new Date(),
      () => Math.random(),
      () => setTimeout(() => {}, 0),
      () => setImmediate(() => {}),
      () => performance.now(),
    ]) {
      time.after(1, leak);
    }
    time.after(1, () => new Date(5));
    await time.run({ untilMs: 2 });
    expect(errors).toHaveLength(6);
    expect(Date.now()).toBeGreaterThan(0);
    expect(Math.random()).toBeLessThan(1);
  });

  it("lets no timer of a paused process fire that is cleared before its turn comes", async () => {
    const { time } = fresh();
    const process = new VirtualProcess("p", time, { wallMs: 1_000, rate: 1 });
    const ran: string[] = [];
    process.pause();
    process.post(1, () => process.clock.clearTimer(timer));
    const timer = process.clock.setTimer(2, () => ran.push("cleared"));
    process.clock.setTimer(3, () => ran.push("kept"));
    time.after(10, () => process.resume());
    await time.run({ untilMs: 20 });
    expect(ran).toEqual(["kept"]);
  });

  it("holds back a paused process and goes on in order; a killed one never runs again", async () => {
    const { time } = fresh();
    const process = new VirtualProcess("p", time, { wallMs: 1_000, rate: 1 });
    const ran: number[] = [];
    for (const at of [1, 2, 3, 4]) process.post(at, () => ran.push(at));
    time.after(1.5, () => process.pause());
    time.after(3.5, () => process.resume());
    await time.run({ untilMs: 3.4 });
    expect(ran).toEqual([1]);
    await time.run({ untilMs: 3.9 });
    expect(ran).toEqual([1, 2, 3]);
    process.kill();
    await time.run({ untilMs: 9 });
    expect(ran).toEqual([1, 2, 3]);
  });

  it("knows for how long a process stood still, paused, blocked or both", async () => {
    const { time } = fresh();
    const process = new VirtualProcess("p", time, { wallMs: 1_000, rate: 1 });
    time.after(1, () => process.pause());
    time.after(2, () => process.block());
    time.after(4, () => process.resume());
    time.after(7, () => process.unblock());
    time.after(20, () => process.block());
    await time.run({ untilMs: 5 });
    expect(process.stoodMs).toBe(4);
    await time.run({ untilMs: 15 });
    expect(process.stoodMs).toBe(6);
    time.after(10, () => {});
    await time.run({ untilMs: 30 });
    expect(process.stoodMs).toBe(6 + time.nowMs - 20);
  });

  it("lets a clock run fast and its wall time jump", async () => {
    const { time } = fresh();
    const clocks = { wallMs: 1_000, rate: 2 };
    const { clock } = new VirtualProcess("p", time, clocks);
    let firedAtMs = 0;
    clock.setTimer(10, () => {
      firedAtMs = time.nowMs;
    });
    await time.run({ untilMs: 100 });
    expect(firedAtMs).toBe(5);
    clocks.wallMs -= 500;
    expect([clock.monotonicMs(), clock.wallMs()]).toEqual([200, 700]);
  });
});
