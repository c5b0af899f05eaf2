/** While commits fail, they are tried again and again: nothing else may come along that would. */
import type { Timer } from "../ports/clock.ts";
import type { Environment } from "./environment.ts";
import type { Committer } from "./journal/committer.ts";

const RETRY_COMMIT_MS = 200;

export class CommitRetry {
  readonly #env: Environment;
  readonly #committer: Committer;
  #timer: Timer | undefined;

  constructor(env: Environment, committer: Committer) {
    this.#env = env;
    this.#committer = committer;
  }

  /** Commits began to fail. */
  start(): void {
    this.#timer ??= this.#env.clock.setTimer(RETRY_COMMIT_MS, () => {
      this.#timer = undefined;
      if (!this.#committer.failing) return;
      this.#committer.retryAfterFailure();
      this.start();
    });
  }

  stop(): void {
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
  }
}
