/** What docs/membership.md promises, in small: the same run each time, on simulated time alone. */
import { describe, expect, it } from "vitest";
import { EventWheel } from "./event-wheel.ts";
import { SimMesh } from "./sim-mesh.ts";
import { SIM_DEFAULTS, type SimOptions } from "./sim-options.ts";
import type { SimReport } from "./sim-tally.ts";

const simulate = (options: Partial<SimOptions>): SimReport =>
  new SimMesh({ ...SIM_DEFAULTS, preset: "lan", ...options }).run();

describe("simulated members", { timeout: 900_000 }, () => {
  it("all know of a death within 3 s, without a false word", () => {
    const report = simulate({ kills: 10, seconds: 40 });
    expect(report.allKnowMs).toBeGreaterThan(0);
    expect(report.allKnowMs).toBeLessThanOrEqual(3_000);
    expect(report).toMatchObject({ falseDeaths: 0, falseSuspicions: 0, kills: 10 });
  });

  it("know of it sooner when its links break", () => {
    const silent = simulate({ kills: 10, seconds: 40 });
    const broken = simulate({ kills: 10, seconds: 40, linksBreak: true });
    expect(broken.allKnowMs).toBeGreaterThan(0);
    expect(broken.detectionMs.p50).toBeLessThan(silent.detectionMs.p50);
  });

  it("all know within 4 s at a loss of 10 %, and nobody healthy dies", () => {
    const report = simulate({ kills: 5, seconds: 40, loss: 0.1 });
    expect(report.allKnowMs).toBeGreaterThan(0);
    expect(report.allKnowMs).toBeLessThanOrEqual(4_000);
    expect(report.falseDeaths).toBe(0);
  });

  it("take nobody for dead because one event loop is blocked for 80 % of the time", () => {
    for (const blockMs of [800, 4_000, 20_000]) {
      const report = simulate({ blocked: 1, blockMs, seconds: 120, seed: 3 });
      expect(report.falseDeaths).toBe(0);
    }
  });

  it("without heartbeats lose the blocked one at most, never a healthy one", () => {
    const report = simulate({ blocked: 1, seconds: 120, seed: 3, heartbeats: false });
    expect(report.falseDeathsOfHealthy).toBe(0);
    expect(report.falseDeaths).toBeGreaterThan(0); // which the heartbeat is for
  });

  it("are whole again within 5 s of a partition's end", () => {
    const report = simulate({ seconds: 85, partition: { fromS: 10, toS: 70, share: 0.5 } });
    expect(report.healMs).toBeGreaterThan(0);
    expect(report.healMs).toBeLessThanOrEqual(5_000);
    expect(report.falseDeaths).toBe(0);
  });

  it("past 150 find a death through their rings, at less than 5 KB/s a node", () => {
    const report = simulate({ nodes: 300, seconds: 20, kills: 2 });
    expect(report.allKnowMs).toBeGreaterThan(0);
    expect(report.allKnowMs).toBeLessThanOrEqual(4_000);
    expect(report.falseDeaths).toBe(0);
    expect(report.bytesPerNodeSecond).toBeLessThan(5_000);
  });

  it("do the same from the same seed, and other things from another", () => {
    const options = { kills: 3, seconds: 20, loss: 0.1 };
    const first = simulate(options);
    expect(simulate(options)).toEqual(first);
    expect(simulate({ ...options, seed: 2 })).not.toEqual(first);
  });
});

describe("the simulation's time", () => {
  it("runs events in order of time and scheduling, however far ahead", () => {
    const wheel = new EventWheel<string>();
    const seen: string[] = [];
    wheel.at(40_000, "far");
    wheel.at(5, "b");
    wheel.at(1.2, "a");
    wheel.at(5, "c");
    wheel.run(50_000, (event) => {
      seen.push(`${event}@${wheel.nowMs}`);
      if (event === "b") wheel.at(0, "now");
    });
    expect(seen).toEqual(["a@2", "b@5", "c@5", "now@5", "far@40000"]);
  });
});
