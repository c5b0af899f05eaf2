/**
 * What happened in a simulated mesh, as its users and its disks saw it. Checkers read nothing else.
 *
 * Times are milliseconds of simulated time, which no node sees.
 */

/** A call of publish or send, or one message of publishMany. */
export type Said = {
  readonly id: string;
  readonly node: number;
  readonly kind: "event" | "command";
  readonly subject: string;
  readonly key: string | undefined;
  /** Order of the calls at the node. */
  readonly order: number;
  readonly invokedMs: number;
  readonly expires: boolean;
  readonly delayed: boolean;
  readonly filtered: boolean;
  /** "unknown": it failed and may have been stored, or the process died first. */
  outcome: "pending" | "ok" | "refused" | "unknown";
  /** As the receipt says. */
  position: { readonly epoch: number; readonly seq: number } | undefined;
};

/** A record of a journal that reached a disk. */
export type Stored = {
  readonly node: number;
  readonly epoch: number;
  readonly seq: number;
  /** The id in the payload; "" for a delayed message's place. */
  readonly id: string;
  readonly kind: "event" | "command";
  readonly subject: string;
  readonly key: string | undefined;
  /** The one subscription it is for (a replay), or undefined. */
  readonly target: string | undefined;
  readonly timeMs: number;
  readonly timeCounter: number;
  readonly expires: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly atMs: number;
  /** "unknown": the sync failed, or the node crashed; "burnt": the node took it back; "revived": a later life found it; "gone": an older copy of its folder was put in place. */
  state: "ok" | "unknown" | "burnt" | "revived" | "gone";
  /** It came with a copy of the folder, whatever its node made of it later. */
  isCopied?: true;
  /** Its block changed on the disk: whoever reads it from there finds it damaged. */
  isDamaged?: true;
};

export type RunOutcome = "ok" | "failed" | "revoked" | "surrendered";

/** One call of a handler. */
export type Run = {
  readonly subscription: string;
  readonly member: number;
  readonly life: number;
  readonly id: string;
  /** Index of the producing node. */
  readonly producer: number;
  readonly epoch: number;
  readonly seq: number;
  readonly key: string | undefined;
  readonly attempt: number;
  /** It replays a dead letter. */
  readonly isReplay: boolean;
  readonly startMs: number;
  /** The term under which it ran, as the handler saw it. */
  readonly fence: number;
  readonly volatile: boolean;
  endMs: number | undefined;
  /** "revoked": it ended after its time-out, "surrendered": after its message had gone back; with no effect. */
  outcome: "running" | RunOutcome;
  /** Ids of what it sent through ctx. */
  readonly sent: string[];
};

/** A dead letter that reached a disk. */
export type Dead = {
  readonly node: number;
  readonly subscription: string;
  readonly epoch: number;
  readonly seq: number;
  readonly reason: string;
  /** As the letter says. */
  readonly attempts: number;
  readonly atMs: number;
  /** An older copy of the folder, without it, was put in place then. */
  goneMs?: number;
};

/** A dead letter that somebody replays or discards. */
export type Tended = {
  /** "tried": the call has not ended, or failed and may have been carried out. */
  how: "tried" | "replayed" | "discarded";
  readonly node: number;
  readonly subscription: string;
  readonly epoch: number;
  readonly seq: number;
  readonly holds: boolean;
  /** When it was called. */
  readonly atMs: number;
};

/** What handlers wrote of one message into the local store of their subscription, as found at the end. */
export type StateOf = {
  readonly member: number;
  readonly subscription: string;
  readonly producer: number;
  readonly epoch: number;
  readonly seq: number;
  /** How often the message changed it. */
  readonly times: number;
};

/** A durable subscription, and the births its members stored. */
export type Known = {
  readonly id: string;
  readonly role: "events" | "commands";
  readonly pattern: string;
  readonly durable: boolean;
  readonly keyed: boolean;
  readonly holds: boolean;
  /** Headers that a message must have; none for all messages. */
  readonly filter: Readonly<Record<string, string>>;
  readonly moves: boolean;
  readonly fromStart: boolean;
  readonly births: { readonly ms: number; readonly counter: number }[];
};

export type Asked = {
  readonly invokedMs: number;
  readonly timeoutMs: number;
  endedMs: number | undefined;
  /** Meanwhile the event loop of the asking process stood still for so long, as far as that was noted. */
  stoodMs?: number;
  /** The asking process died. */
  cut: boolean;
};

export type LedgerCount = {
  readonly node: number;
  readonly subscription: string;
  readonly accepted: number;
  readonly acked: number;
  readonly dead: number;
  readonly expired: number;
  readonly abandoned: number;
  readonly damaged: number;
  readonly pending: number;
};

export type Violation = {
  readonly check: string;
  readonly message: string;
};

/** An older copy of a node's folder takes the place of the folder. */
export type Restored = { readonly node: number; readonly copiedMs: number; readonly atMs: number };

export class History {
  readonly said: Said[] = [];
  readonly saidById = new Map<string, Said>();
  readonly stored: Stored[] = [];
  readonly runs: Run[] = [];
  readonly dead: Dead[] = [];
  readonly tended: Tended[] = [];
  states: StateOf[] = [];
  readonly known = new Map<string, Known>();
  readonly asked: Asked[] = [];
  /** At the end, when everything was quiet. */
  ledgers: LedgerCount[] = [];
  /** Faults after which somebody may have taken a member for dead. */
  disruptions = 0;
  /** Times at which members or links changed. */
  readonly changesMs: number[] = [];
  /** Found while it ran. */
  readonly found: Violation[] = [];
  readonly restored: Restored[] = [];
  isQuiet = false;
  /** `tended`, `states` and `disruptions` are noted too. */
  isWhole = false;
  isCalm = false;
  /** Messages may expire although they have no time limit, because the journal is small. */
  mayOverflow = false;
  bitFlips = 0;
  /** Nodes whose messages may be handled again, and whose handlers may run again: they, or others, were made to forget. */
  readonly mayRepeat = new Set<number>();
  /** Nodes on copies of others' folders: a copy, and whose. Runs of what came with it count as the owner's. */
  readonly copies = new Map<number, number>();
  /** Nodes that never run again: what waits on their disks waits for ever. */
  readonly retired = new Set<number>();

  /** `copy` runs on a copy of the folder of `of`, as it is now, and not for ever. */
  copied(copy: number, of: number): void {
    this.mayRepeat.add(of).add(copy);
    this.retired.add(copy);
    this.copies.set(copy, of);
    for (const record of this.stored) {
      if (record.node === of && record.state === "unknown") record.isCopied = true;
    }
  }

  /** What reached the node's disk after the copy was made is gone: the loss of a disk, which is not covered. */
  restore(restored: Restored): void {
    this.restored.push(restored);
    this.mayRepeat.add(restored.node);
    for (const record of this.stored) {
      if (record.node === restored.node && record.atMs > restored.copiedMs) record.state = "gone";
    }
    for (const dead of this.dead) {
      if (dead.node === restored.node && dead.atMs > restored.copiedMs)
        dead.goneMs ??= restored.atMs;
    }
  }
}
