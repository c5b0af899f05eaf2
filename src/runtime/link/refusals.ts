/** A link that never rose: both sides count why, the side that dialled reports it. */
import type { MeshError } from "../../errors.ts";
import type { Environment } from "../environment.ts";
import { BETTER } from "./better-addresses.ts";
import type { Link } from "./link.ts";
import { CLOSED } from "./link-end.ts";

/** The end of a link whose node has something new to say of itself. */
export const JUMPED = "EPOCH_JUMPED";
/** The end of a link whose dialler has yet to say what it knows of its peer. */
export const UNTOLD = "UNTOLD";
/** Ends of dialled links that mean nothing is wrong. */
const EXPECTED: ReadonlySet<string> = new Set([
  "",
  CLOSED,
  "SELF",
  "ALREADY_LINKED",
  "DUPLICATE_LINK",
  JUMPED,
  UNTOLD,
  BETTER,
]);

export const noteRefusal = (
  env: Environment,
  link: Link,
  code: string,
  reason: MeshError,
  mayLog: () => boolean,
): void => {
  const { counters, logger } = env;
  if (!link.dialled && !link.greeted) {
    // What was read instead of a Hello is counted where it was read; who was not believed is in the audit records.
    if (code === "UNAUTHORIZED") counters.count("link.rejected.UNAUTHORIZED");
    else if (code !== "MALFORMED") counters.count("link.notGreeted");
    return;
  }
  if (EXPECTED.has(code)) return;
  counters.count(`link.${link.dialled ? "refused" : "rejected"}.${code}`);
  // Who connects again and again for it must not fill the log.
  if (code !== "WRONG_MESH" && (link.dialled || mayLog())) {
    const message = link.dialled ? "link refused" : "link rejected";
    logger.warn(message, { address: link.address, code, reason: reason.message });
  }
  if (!link.dialled) return;
  env.report({ type: "link-refused", address: link.address, code, message: reason.message });
};

/** A dial that came to nothing because one side has keys and the other none, or they do not trust each other. */
export const noteUnauthorized = (env: Environment, address: string, error: MeshError): void => {
  const { code, message } = error;
  env.counters.count(`link.refused.${code}`);
  env.logger.warn("link refused", { address, code, reason: message });
  env.report({ type: "link-refused", address, code, message });
};
