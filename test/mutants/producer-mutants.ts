/** What can go wrong at the node that owns a message. */
import type { Mutant } from "./mutant.ts";

export const PRODUCER_MUTANTS: readonly Mutant[] = [
  {
    name: "begins-late-subscription-at-head",
    promise: "G1",
    does: "begins a subscription it hears of late at the head, whatever was accepted since its birth",
    file: "src/runtime/producer/given-up.ts",
    anchor: "return startAt(this.#journal, record.birthTime);",
    replacement: "return this.#journal.head ?? ZERO;",
    caughtBy: { by: "simulation", checks: ["C1", "ledger"] },
  },
  {
    name: "owes-again-what-it-gave-up",
    promise: "G5",
    does: "begins a subscription that it gave up, and that comes back, at its birth again",
    file: "src/runtime/producer/given-up.ts",
    anchor: "    if (isLater(record.birthTime, over.time)) return start;",
    replacement: "    return start;",
    caughtBy: {
      by: "test",
      file: "test/mesh/given-up.test.ts",
      test: "owes it nothing again when its members had only been cut off",
    },
  },
  {
    name: "reads-delivery-number-as-position",
    promise: "G1",
    does: "takes the number of a settled delivery for a position",
    file: "src/runtime/producer/settling.ts",
    anchor:
      "const entry = opening.take(number);\n        if (entry === undefined || !cursor.settle(entry)) continue;\n        acked++;",
    replacement: `const taken = opening.take(number);
        const entry = taken && (cursor.find(taken.epoch, number) ?? taken);
        if (entry === undefined || !cursor.settle(entry)) continue;
        acked++;`,
    caughtBy: { by: "simulation", checks: ["C1", "C11"] },
  },
  {
    name: "takes-settles-of-another-session",
    promise: "G4",
    does: "takes frames of a session that is over",
    file: "src/runtime/link/link.ts",
    anchor: "if (frame.session !== this.#session) {",
    replacement: "if (frame.session < 0) {",
    caughtBy: {
      by: "test",
      file: "test/mesh/hostile-peer.test.ts",
      test: "does not speak for an earlier session",
    },
  },
  {
    name: "states-floor-before-sync",
    promise: "G5",
    does: "states a floor that is not on disk",
    file: "src/runtime/producer/subscription-state.ts",
    anchor: "this.#flushingFloor = this.cursor.floor;",
    replacement:
      "this.#flushingFloor = this.cursor.floor;\n    this.durableFloor = this.cursor.floor;",
    caughtBy: {
      by: "test",
      file: "test/mesh/members.test.ts",
      test: "states as its floor what is on disk, and no more",
    },
  },
  {
    name: "drops-at-high-water-mark",
    promise: "G1",
    does: "drops a message for a member that has no credit left",
    file: "src/runtime/producer/pump.ts",
    anchor: "      const entry = cursor.next(member);\n      if (entry === undefined) break;",
    replacement: `      const entry = cursor.next(member);
      if (entry === undefined) {
        const first = member.queue.peek();
        if (first?.state === 0 && outlet.opening.room <= 0 && cursor.settle(first)) {
          state.ledger.add("acked", 1);
        }
        break;
      }`,
    caughtBy: { by: "simulation", checks: ["C1"] },
  },
  {
    name: "ignores-credit",
    promise: "G6",
    does: "sends without credit",
    file: "src/core/opening.ts",
    anchor: "if (this.#unsettled === 0) return this.#numberLimit > 0;",
    replacement: "if (this.#unsettled < 64) return this.#numberLimit > 0;",
    // A simulated consumer closes the link, again and again: that is seen, but after minutes.
    caughtBy: {
      by: "test",
      file: "test/core/opening.test.ts",
      test: "keeps to its credit, but for one message when nothing is in flight",
    },
  },
  {
    name: "ignores-resync",
    promise: "G1",
    does: "does not send again what its consumer missed",
    file: "src/runtime/producer/producer.ts",
    anchor:
      "if (outlet.opening.canResend(from)) this.#pump.resend(outlet.subscription, outlet, from);",
    replacement: "if (outlet.opening.canResend(from)) return;",
    caughtBy: { by: "simulation", checks: ["C11"], ground: "broken" },
  },
  {
    name: "hands-over-without-drain",
    promise: "G2",
    does: "gives a key to its new owner while the old one still has messages of it",
    file: "src/core/shard-gate.ts",
    anchor: "if ((this.#count[shard] as number) === 0) return true;",
    replacement: "if ((this.#count[shard] as number) >= 0) return true;",
    caughtBy: { by: "simulation", checks: ["C3", "C5"], ground: "apart" },
  },
  {
    name: "sends-again-out-of-order",
    promise: "G2",
    does: "puts back what a lost session had in flight behind what waits",
    file: "src/core/placement.ts",
    anchor: "    entries.sort(compareEntries);\n    this.#unpinUnstarted(entries);",
    replacement: "    this.#unpinUnstarted(entries);",
    caughtBy: { by: "simulation", checks: ["C3"] },
  },
  {
    name: "lets-followers-pass-a-failed-message",
    promise: "G2",
    does: "sends the next message of a key while an earlier one waits for its retry",
    file: "src/core/key-holds.ts",
    anchor: "if (hold === undefined || hold.head === entry) return true;",
    replacement: "if (hold === undefined || hold.head !== undefined) return true;",
    caughtBy: { by: "simulation", checks: ["C3"] },
  },
  {
    name: "goes-on-after-a-dead-letter-that-holds",
    promise: "G2",
    does: "goes on with a key although its dead letter stops it",
    file: "src/runtime/producer/dead-letter-desk.ts",
    anchor: "holds: holdOnDead && state.isKeyed && keyHash >= 0,",
    replacement: "holds: holdOnDead && keyHash < -1,",
    caughtBy: { by: "simulation", checks: ["C3"], ground: "holding" },
  },
  {
    name: "forgets-attempts",
    promise: "G5",
    does: "forgets at each retry how often a message was tried",
    file: "src/runtime/producer/settling.ts",
    anchor: "entry.attempts = Math.max(entry.attempts + 1, nack.attempts);",
    replacement: "entry.attempts = 0;",
    caughtBy: { by: "simulation", checks: ["C8"], ground: "failing" },
  },
  {
    name: "blames-the-whole-window",
    promise: "G5",
    does: "counts the death of a member as an attempt of all that was in flight there",
    file: "src/core/member.ts",
    anchor:
      "return entries.length === 1 ? entries.filter(({ deaths }) => deaths > DEATHS_BEFORE_ALONE) : [];",
    replacement: "return entries;",
    caughtBy: { by: "simulation", checks: ["C8"], ground: "lone" },
  },
  {
    name: "buries-without-a-letter",
    promise: "G5",
    does: "ends a message as dead and writes no dead letter",
    file: "src/runtime/producer/dead-letter-desk.ts",
    anchor: "    deadLetters.add(head, envelope);\n    state.errors.delete(entry);",
    replacement: "    state.errors.delete(entry);",
    caughtBy: { by: "simulation", checks: ["C1", "C8"] },
  },
  {
    name: "replays-under-the-old-position",
    promise: "G5",
    does: "replays a dead letter in its old place, where its subscription has passed",
    file: "src/runtime/producer/dead-letter-desk.ts",
    anchor: "      this.#append(head, envelope, done);\n      return;",
    replacement: `      this.#remove(head, done);
      state.cursor.giveBack([]);
      return;`,
    caughtBy: { by: "simulation", checks: ["C8"], ground: "dead-letter-replay" },
  },
  {
    name: "expires-what-is-in-flight",
    promise: "G5",
    does: "lets a message expire while a member handles it",
    file: "src/runtime/producer/expiry.ts",
    anchor: "if (entry.state === IN_FLIGHT || entry.state === STOPPED) clear = false;",
    replacement: "if (entry.state === STOPPED) clear = false;",
    caughtBy: { by: "simulation", checks: ["C4", "ledger"], ground: "tight" },
  },
  {
    name: "does-not-count-expiry",
    promise: "G5",
    does: "lets a message expire without counting it",
    file: "src/runtime/producer/subscription-state.ts",
    anchor: '    this.ledger.add("expired", 1);\n',
    replacement: "",
    caughtBy: { by: "simulation", checks: ["C11", "ledger"] },
  },
  {
    name: "goes-on-before-expiry-is-written",
    promise: "G2",
    does: "lets a key go on while the expiry of a message of it is not on disk",
    file: "src/runtime/producer/pump.ts",
    anchor: "      if (state.mustWait(entry)) break;\n",
    replacement: "",
    caughtBy: {
      by: "test",
      file: "test/mesh/expiry-order.test.ts",
      test: "waits for the expiry to be on disk, and other keys do not",
    },
  },
  {
    name: "counts-again-after-restart",
    promise: "G5",
    does: "counts what is pending at a restart a second time",
    file: "src/runtime/producer/subscription-table.ts",
    anchor: "    let at = counted;\n",
    replacement: "    let at = state.cursor.floor;\n    void counted;\n",
    caughtBy: { by: "simulation", checks: ["ledger"], ground: "crashes" },
  },
  {
    name: "says-accepted-before-sync",
    promise: "G4",
    does: "says that a settle is the accepted one before that is on disk",
    file: "src/runtime/producer/settling.ts",
    anchor: `  #tell(link: Link, entries: readonly AcceptedEntry[]): void {
    this.#producer.journal.committer.onDurable((error) => {
      if (error !== undefined || !link.isUp) return;
      link.send({ type: "accepted", session: link.session, entries });
    });`,
    replacement: `  #tell(link: Link, entries: readonly AcceptedEntry[]): void {
    link.send({ type: "accepted", session: link.session, entries });`,
    caughtBy: { by: "simulation", checks: ["C4"], ground: "crashes" },
  },
  {
    name: "forgets-whose-settle-was-accepted",
    promise: "G4",
    does: "keeps no row of whose settle was accepted",
    file: "src/runtime/producer/verdicts.ts",
    anchor:
      "this.#rows.set(compositeKey(subscription, position), Buffer.from(JSON.stringify(row)));",
    replacement: "void row;",
    caughtBy: { by: "simulation", checks: ["C4"], ground: "crashes" },
  },
  {
    name: "confirms-before-disk",
    promise: "G1",
    does: "confirms a subscription that is not on disk",
    file: "src/runtime/producer/members.ts",
    anchor: `    committer.onDurable((error) => {
      if (error === undefined && link.isUp) this.#confirm(link, record.index, "", "");
    });`,
    replacement: `    this.#confirm(link, record.index, "", "");`,
    caughtBy: {
      by: "test",
      file: "test/mesh/members.test.ts",
      test: "confirms a subscription when it is on disk, and not before",
    },
  },
  {
    name: "keeps-sending-after-leave",
    promise: "G7",
    does: "keeps a member that has left, and what is due to it",
    file: "src/runtime/producer/members.ts",
    anchor: "if (outlet !== undefined) this.#leave(outlet);",
    replacement: "if (outlet !== undefined) this.#producer.pump(outlet.subscription);",
    caughtBy: { by: "simulation", checks: ["C11"], ground: "member-leaves" },
  },
  {
    name: "keeps-what-the-dead-had",
    promise: "G7",
    does: "does not give what a dead member had to the others",
    file: "src/core/placement.ts",
    anchor:
      "    for (const entry of member.opening?.end() ?? []) {\n      this.#tally.move(entry, READY);\n      displaced.push(entry);",
    replacement:
      "    for (const entry of member.opening?.end() ?? []) {\n      this.#tally.move(entry, READY);",
    caughtBy: { by: "simulation", checks: ["C11"], ground: "lone" },
  },
];
