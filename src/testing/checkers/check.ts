/** All checkers over one history. */
import type { History, Violation } from "../history.ts";
import { checkAnswers } from "./answers.ts";
import { checkAttempts } from "./attempts.ts";
import { checkDeadLetters } from "./dead-letters.ts";
import { checkEffects } from "./effects.ts";
import { checkHolds } from "./holds.ts";
import { checkInvention } from "./invention.ts";
import { checkLedger } from "./ledger.ts";
import { checkLoss } from "./loss.ts";
import { checkOrder } from "./order.ts";
import { checkOwnership } from "./ownership.ts";
import { checkSingleRun } from "./single-run.ts";

const CHECKERS = [
  checkLoss,
  checkInvention,
  checkOrder,
  checkHolds,
  checkEffects,
  checkOwnership,
  checkSingleRun,
  checkDeadLetters,
  checkAttempts,
  checkLedger,
  checkAnswers,
];

const SHOWN_MAX = 5;

export const check = (history: History): Violation[] =>
  CHECKERS.flatMap((checker) => checker(history).slice(0, SHOWN_MAX));
