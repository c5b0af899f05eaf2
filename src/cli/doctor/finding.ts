/** What the doctor says: one finding, and what to do about it. */

export type Severity =
  /** As it should be. */
  | "ok"
  /** Works, and may surprise. */
  | "warning"
  /** Does not work. */
  | "problem";

export type Finding = {
  /** What was looked at: "listen", "multicast", ... */
  readonly check: string;
  readonly severity: Severity;
  /** What was found, with values. */
  readonly finding: string;
  /** What to do; absent when all is well. */
  readonly remedy?: string;
};

export const ok = (check: string, finding: string): Finding => ({ check, severity: "ok", finding });

export const warning = (check: string, finding: string, remedy: string): Finding => ({
  check,
  severity: "warning",
  finding,
  remedy,
});

export const problem = (check: string, finding: string, remedy: string): Finding => ({
  check,
  severity: "problem",
  finding,
  remedy,
});
