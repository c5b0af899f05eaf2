/** What createTestMesh() takes: checked, completed and frozen here. */
import type { Bound } from "../options/bounds.ts";
import type { NodeOptions } from "../options/node-options.ts";
import { OptionReader } from "../options/option-reader.ts";

export type TestMeshOptions = {
  /**
   * From what everything random follows, 0 to 4,294,967,295; default 1. Another seed: other delays, jitter
   * and fates of what a crash cuts.
   */
  readonly seed?: number;
  /** What wall clocks show at the start, milliseconds since 1970; default 2030-01-01. */
  readonly startMs?: number;
  /**
   * A call that has not settled after so much simulated time is rejected with TIMEOUT, 1 ms to a year;
   * default 3,600,000. More lets a test wait longer; a call that never settles takes longer to be found.
   */
  readonly patienceMs?: number;
  /**
   * Longest real time that simulated time stands still for a handler that waits for something outside the
   * mesh, 0 to 600,000 ms; default 1,000. After it the handler counts as hanging. 0: time never stands still.
   */
  readonly realWaitMs?: number;
  /**
   * Whether handlers may use Date, timers and Math.random: "allow" (default), or "forbid": they throw there,
   * with what to use instead, so that the same seed gives the same run.
   */
  readonly realTime?: "allow" | "forbid";
  /**
   * Options of every node, where it does not say otherwise. `{ heartbeatMs: 30_000 }` makes days of
   * simulated time cheap, and deaths found late.
   */
  readonly nodes?: Partial<NodeOptions>;
  /** Whether `trace` keeps a line for everything that happens. Default false: only its hash. */
  readonly trace?: boolean;
};

export type ResolvedMeshOptions = Required<TestMeshOptions>;

const bound = (fallback: number, min: number, max: number): Bound => ({
  default: fallback,
  min,
  max,
  infinite: false,
});

/** docs/limits.md shows the same table; a test compares the two. */
export const TEST_MESH_BOUNDS = Object.freeze({
  seed: bound(1, 0, 0xffff_ffff),
  startMs: bound(Date.UTC(2030, 0, 1), 0, Date.UTC(9999, 0, 1)),
  patienceMs: bound(3_600_000, 1, 365 * 24 * 3_600_000),
  realWaitMs: bound(1_000, 0, 600_000),
});

const KNOWN = [...Object.keys(TEST_MESH_BOUNDS), "realTime", "nodes", "trace"];

/** @throws MeshError INVALID_OPTIONS */
export const resolveMeshOptions = (input: TestMeshOptions): ResolvedMeshOptions => {
  const reader = new OptionReader("createTestMesh()", input, KNOWN);
  const resolved = Object.freeze({
    seed: reader.integer("seed", TEST_MESH_BOUNDS.seed),
    startMs: reader.integer("startMs", TEST_MESH_BOUNDS.startMs),
    patienceMs: reader.integer("patienceMs", TEST_MESH_BOUNDS.patienceMs),
    realWaitMs: reader.integer("realWaitMs", TEST_MESH_BOUNDS.realWaitMs),
    realTime: reader.oneOf("realTime", ["allow", "forbid"], "allow"),
    nodes: Object.freeze({ ...input.nodes }),
    trace: reader.flag("trace", false),
  });
  reader.finish();
  return resolved;
};
