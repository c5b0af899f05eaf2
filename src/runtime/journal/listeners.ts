/** Those who hear of something, in order of registration; one that throws does not stop the others. */
import type { Logger } from "../../ports/logger.ts";

export class Listeners<T> {
  readonly #logger: Logger;
  readonly #listeners: ((value: T) => void)[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(listener: (value: T) => void): void {
    this.#listeners.push(listener);
  }

  tell(value: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#logger.error("journal listener threw", { error });
      }
    }
  }
}
