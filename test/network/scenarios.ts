/** What is done to the network of three hosts, and what must hold. */
import type { Air, Cut, Host } from "./network-bed.ts";

export type Scenario = {
  readonly name: string;
  /** A line for people. */
  readonly what: string;
  /** Whether mDNS gets through; without it each node is told the address of one. */
  readonly multicast: boolean;
  readonly air: Air | undefined;
  /** How soon three hosts that start at once must be linked; the median of some rounds. */
  readonly meetFloorMs: number | undefined;
  /** Frames that are lost while the fault lasts. */
  readonly cuts: readonly Cut[];
  /** The host that gets another address. */
  readonly moves: Host | undefined;
  /** How soon after the end of the fault all that it parted must be linked again. */
  readonly healFloorMs: number | undefined;
  /**
   * Members differ in whom they take for alive, so two may run one key. Where it is empty, the promise of one
   * owner holds without exception.
   */
  readonly unstable: readonly Host[];
};

const HEAL_FLOOR_MS = 5_000;
/** A look at the interfaces every 5 s, and a link that must be found silent first. */
const MOVE_FLOOR_MS = 15_000;

const QUIET = {
  multicast: true,
  air: undefined,
  meetFloorMs: undefined,
  cuts: [],
  moves: undefined,
  healFloorMs: undefined,
  unstable: [],
} as const;

export const SCENARIOS: readonly Scenario[] = [
  {
    ...QUIET,
    name: "mdns-between-hosts",
    what: "three hosts find one another by multicast",
    meetFloorMs: 500,
  },
  {
    ...QUIET,
    name: "seed-only",
    what: "multicast does not get through; each node is told the address of one",
    multicast: false,
    meetFloorMs: 300,
  },
  {
    ...QUIET,
    name: "partition",
    what: "host c and the others hear nothing of one another",
    cuts: [
      ["a", "c"],
      ["c", "a"],
      ["b", "c"],
      ["c", "b"],
    ],
    healFloorMs: HEAL_FLOOR_MS,
    unstable: ["c"],
  },
  {
    ...QUIET,
    name: "one-way",
    what: "host c hears nothing of host a, which hears it",
    cuts: [["a", "c"]],
    healFloorMs: HEAL_FLOOR_MS,
  },
  {
    ...QUIET,
    name: "partial",
    what: "hosts a and b hear nothing of one another; c hears both, and they hear it",
    cuts: [
      ["a", "b"],
      ["b", "a"],
    ],
    healFloorMs: HEAL_FLOOR_MS,
  },
  {
    ...QUIET,
    name: "address-change",
    what: "host c gets another address",
    moves: "c",
    healFloorMs: MOVE_FLOOR_MS,
    unstable: ["c"],
  },
  {
    ...QUIET,
    name: "loss-and-delay",
    what: "of what a host sends 5 % are lost and 1 % doubled, and all is 30 ms late",
    air: { delayMs: 30, loss: 0.05, duplicates: 0.01 },
    unstable: ["a", "b", "c"],
  },
];
