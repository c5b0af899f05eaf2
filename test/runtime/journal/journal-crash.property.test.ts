/**
 * Random histories of a journal against a dumb oracle: appends, turns, commits that end well, fail and
 * survive or not, kills at any point with the commit under way kept or lost.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Fixture, openJournal, readAll, record, TurnClock } from "./journal-fixture.ts";
import { ScriptedStore } from "./scripted-store.ts";

type Step =
  | { readonly type: "append"; readonly many: number }
  | { readonly type: "row" }
  | { readonly type: "turn" }
  | { readonly type: "end"; readonly how: "well" | "sync" | "sync, survives" | "full" }
  | { readonly type: "retry" }
  | { readonly type: "raise"; readonly by: number }
  | { readonly type: "trim" }
  | { readonly type: "kill"; readonly keepsPending: boolean };

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant("append" as const), many: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("row" as const) }) },
    { weight: 6, arbitrary: fc.record({ type: fc.constant("turn" as const) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant("end" as const),
        how: fc.constantFrom("well", "well", "well", "sync", "sync, survives", "full"),
      }) as fc.Arbitrary<Step>,
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("retry" as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("raise" as const), by: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("trim" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant("kill" as const), keepsPending: fc.boolean() }),
    },
  ),
  { minLength: 10, maxLength: 80 },
) as fc.Arbitrary<Step[]>;

/** What became of a message, as its caller knows it. */
type Fate = "waiting" | "accepted" | "unknown" | "refused" | "trimmed";

class History {
  fixture: Fixture;
  readonly clock: TurnClock;
  readonly fates = new Map<string, Fate>();
  readonly positions = new Set<string>();
  /** Texts that a successful commit has removed for good. */
  readonly gone = new Set<string>();
  #next = 0;

  constructor(fixture: Fixture, clock: TurnClock) {
    this.fixture = fixture;
    this.clock = clock;
    fixture.store.auto = false;
  }

  async run(step: Step): Promise<void> {
    const { journal, store } = this.fixture;
    if (step.type === "append") this.#append(step.many);
    else if (step.type === "row") journal.committer.write("cursor", Buffer.from("c"), undefined);
    else if (step.type === "turn") await this.clock.turn();
    else if (step.type === "retry") journal.committer.retryAfterFailure();
    else if (step.type === "raise") journal.raiseEpoch(journal.epoch + step.by);
    else if (step.type === "trim") this.#trim();
    else if (step.type === "kill") await this.#kill(step.keepsPending);
    else if (store.pending !== undefined) {
      const failure = step.how === "full" ? "full" : "sync";
      const survives = step.how === "sync, survives";
      store.failing = step.how === "well" ? undefined : { failure, survives };
      await store.end();
      for (let i = 0; i < 10; i++) await Promise.resolve();
      if (step.how === "well") {
        for (const [text, fate] of this.fates) if (fate === "unknown") this.gone.add(text);
      }
    }
  }

  #append(many: number): void {
    const { journal } = this.fixture;
    const texts = Array.from({ length: Math.max(1, many) }, () => `m${this.#next++}`);
    const records = texts.map((text) => record(text));
    let first: number;
    try {
      first = many > 0 ? journal.appendMany(records) : journal.append(record(texts[0] as string));
    } catch {
      expect(journal.accepting).toBe(false);
      for (const text of texts) this.fates.set(text, "refused");
      return;
    }
    texts.forEach((text, i) => {
      const position = `${journal.epoch}:${first + i}`;
      expect(this.positions.has(position), `${position} was given before`).toBe(false);
      this.positions.add(position);
      this.fates.set(text, "waiting");
    });
    journal.onDurable((error) => {
      for (const text of texts) {
        expect(this.fates.get(text)).toBe("waiting");
        const written = error?.details.written !== false;
        this.fates.set(text, error === undefined ? "accepted" : written ? "unknown" : "refused");
      }
    });
  }

  #trim(): void {
    const { journal } = this.fixture;
    const block = journal.read(undefined);
    if (block === undefined) return;
    const kept = new Set(
      readAll(journal).slice(journal.read(undefined) === undefined ? 0 : block.count),
    );
    for (const text of readAll(journal)) if (!kept.has(text)) this.fates.set(text, "trimmed");
    journal.trim({ epoch: block.epoch, seq: block.lastSeq });
  }

  async #kill(keepsPending: boolean): Promise<void> {
    const store = await this.fixture.store.crash(keepsPending);
    // Nobody of the old life hears anything any more.
    for (const [text, fate] of this.fates) if (fate === "waiting") this.fates.set(text, "unknown");
    await this.clock.turn();
    this.fixture = await openJournal({ store, clock: this.clock });
    store.auto = false;
    // What came back is accepted from now on; what did not is gone.
    const served = new Set(readAll(this.fixture.journal));
    for (const [text, fate] of this.fates) {
      if (fate !== "unknown") continue;
      if (served.has(text)) this.fates.set(text, "accepted");
      else this.gone.add(text);
    }
  }

  check(): void {
    const served = readAll(this.fixture.journal);
    const expected = [...this.fates]
      .filter(([, fate]) => fate === "accepted")
      .map(([text]) => text);
    const untrimmed = served.filter((text) => this.fates.get(text) !== "trimmed");
    expect(untrimmed, "served: what was accepted, in order").toEqual(expected);
    for (const text of this.gone) expect(served).not.toContain(text);
  }

  async finish(): Promise<void> {
    const { store, journal } = this.fixture;
    store.failing = undefined;
    store.auto = true;
    if (store.pending !== undefined) await store.end();
    journal.committer.retryAfterFailure();
    await this.clock.settle();
    for (const fate of this.fates.values()) expect(fate).not.toBe("waiting");
    const bytes = store.scan("log", { limit: 1000 }).reduce((n, row) => n + row.value.length, 0);
    expect(journal.logBytes).toBe(bytes);
    expect([journal.accepting, journal.pendingBytes]).toEqual([true, 0]);
    const next = await openJournal({ store: await store.crash(false) });
    expect(readAll(next.journal)).toEqual(readAll(journal));
    expect(next.damage).toEqual([]);
  }
}

describe("Journal through crashes and failures", () => {
  it("serves exactly what was accepted, in order, and never uses a position twice", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const clock = new TurnClock();
        const store = await ScriptedStore.open();
        const run = new History(
          await openJournal({ store, clock, limits: { blockBytes: 200 } }),
          clock,
        );
        for (const step of history) {
          await run.run(step);
          run.check();
        }
        await run.finish();
        run.check();
      }),
      { numRuns: 300 },
    );
  });
});
