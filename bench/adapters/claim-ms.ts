/** How long an entry of a Redis stream may be unacknowledged before another consumer takes it over: our choice. */
export const CLAIM_MS = 1_000;
