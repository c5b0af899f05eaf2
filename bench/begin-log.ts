/** What the members of a group told of the handlers that began: by message, in the order of time. */
import type { Begun } from "./children/group-member.ts";

export type Begin = {
  readonly member: string;
  readonly key: number;
  readonly number: number;
  readonly dueUs: number;
  readonly atUs: number;
};

export type OrderFigures = {
  readonly lost: number;
  /** First begins after one of a later message of the same key. */
  readonly reordered: number;
  readonly repeats: number;
};

export class BeginLog {
  readonly #begins: Begin[] = [];
  #isSorted = true;

  add(member: string, begun: Begun): void {
    this.#isSorted = false;
    for (let at = 0; at + 3 < begun.length; at += 4) {
      const [key = 0, number = 0, dueUs = 0, atUs = 0] = begun.slice(at, at + 4);
      this.#begins.push({ member, key, number, dueUs, atUs });
    }
  }

  /** All of them, by time. */
  all(): readonly Begin[] {
    // A stable sort: begins of one member within one microsecond stay in their order.
    if (!this.#isSorted) this.#begins.sort((a, b) => a.atUs - b.atUs);
    this.#isSorted = true;
    return this.#begins;
  }

  /** From due to begun, of each message whose due time counts; the first begin counts. */
  latenciesMs(counts: (dueUs: number) => boolean): number[] {
    const seen = new Set<string>();
    const times: number[] = [];
    for (const { key, number, dueUs, atUs } of this.all()) {
      if (!counts(dueUs)) continue;
      const message = `${key} ${number}`;
      if (seen.has(message)) continue;
      seen.add(message);
      times.push((atUs - dueUs) / 1_000);
    }
    return times;
  }

  /** `said`: how many messages there were in all. */
  order(said: number): OrderFigures {
    const seen = new Set<string>();
    const highest = new Map<number, number>();
    let reordered = 0;
    let repeats = 0;
    for (const { key, number } of this.all()) {
      const message = `${key} ${number}`;
      if (seen.has(message)) {
        repeats++;
        continue;
      }
      seen.add(message);
      if (number < (highest.get(key) ?? 0)) reordered++;
      else highest.set(key, number);
    }
    return { lost: said - seen.size, reordered, repeats };
  }
}
