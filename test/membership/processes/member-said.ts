/** What a process of the members' run is started with, and the lines it writes. */
export type MemberSpec = {
  readonly name: string;
  readonly mesh: string;
  /** Addresses that it dials; the rest it is told. */
  readonly seeds: readonly string[];
  /** Its event loop is blocked for so long, four parts of five of the time; 0: never. */
  readonly blockMs: number;
};

/** On what the death rests: a lease that has run out at the one who says so, or the mesh's word. */
export type DeathBy = "lease" | "mesh";

export type MemberSaid =
  | { readonly e: "ready"; readonly id: string; readonly address: string }
  /** So many others are linked now. */
  | { readonly e: "linked"; readonly count: number }
  | { readonly e: "dead"; readonly of: string; readonly by: DeathBy; readonly atMs: number }
  /** In all: members that came to be suspected, or taken for dead, by this node. */
  | { readonly e: "count"; readonly suspected: number; readonly died: number }
  /** The process stood still although nobody had told it to. */
  | { readonly e: "stood"; readonly ms: number };

/** Milliseconds since 1970, with a fraction: all processes of a run are on one machine. */
export const nowMs = (): number => performance.timeOrigin + performance.now();
