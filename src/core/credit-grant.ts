/**
 * The consumer's side of credit: one budget per subscription, shared among the links that send to
 * it.
 *
 * Problem: every producer needs leave to send before it sends, leave once given cannot be taken
 * back, and all leave together must fit the consumer's memory. A link that hoards unused leave must
 * not starve the others, and a hundred that are idle must not either. Approach: every link may always hold
 * `minShare`, which is on top of the budget; what it holds above that is counted, and no link has more than
 * three quarters of what the others have left of the budget (a dynamic threshold): a lone busy link gets 3/4 of it,
 * however many are idle; n busy ones settle at 3/(3n+1) each, and up to `minShare` more; behind k links that fell
 * idle with full windows 1/4^k is still free.
 *
 * In messages, with granted = the limit told, and
 *   pledged(link) = max(granted, delivered) - consumed    while the link lives,
 *                   delivered - consumed                  after it was removed:
 *   sum of pledged <= messages + n * (minShare + 1)
 * and in bytes, with minShareBytes = max(1, floor(bytes * minShare / messages)) or what is given, if more:
 *   sum of pledged <= bytes + n * (minShareBytes + messageBytesMax)
 * where n is the largest number of links that lived at once. The `+ 1` and `+ messageBytesMax` are
 * the one message that may go with nothing in flight, whatever the limits. What is queued or
 * running here is a part of what is pledged, but for handlers that run on although their messages went back
 * (their key has another owner): as many as may run at a time, at most.
 *
 * Invariants: limits told to a link never fall; consumed <= delivered; a removed link's messages
 * count until they are consumed, so that a flapping link gains nothing.
 * Rejected: equal shares of the budget (after k bursts of different links k windows stand unused
 * and either nothing is left or the budget is overdrawn k-fold); credit per link (memory grows with
 * the links); shares of idle links as a part of the budget (of a window of 256 a lone producer had 16 left among
 * sixteen peers that send nothing).
 * Source: Choudhury & Hahne 1998, "Dynamic Queue Length Thresholds"; DESIGN section 4, "Credit".
 */
import { MeshError } from "../errors.ts";

export type CreditBudget = {
  /** Messages the subscription may have outstanding over all links, >= 1. */
  readonly messages: number;
  /** Envelope bytes likewise, >= 1. */
  readonly bytes: number;
  /** Messages that every link may hold at any time, 1..messages. */
  readonly minShare: number;
  /** And so many bytes, if that is more than `minShare` has of them. */
  readonly minShareBytes?: number;
};

/**
 * Absolute: a link may send deliveries up to this number and this many bytes since its session
 * began.
 */
export type CreditLimits = { readonly numberLimit: number; readonly bytesLimit: number };

type LinkCredit = {
  live: boolean;
  active: boolean;
  numberLimit: number;
  bytesLimit: number;
  delivered: number;
  deliveredBytes: number;
  consumed: number;
  consumedBytes: number;
};

/**
 * `Link` is the key of a link in one session; the next session of the same peer is another link.
 */
export class CreditGrant<Link> {
  readonly #budget: CreditBudget;
  readonly #minShareBytes: number;
  readonly #links = new Map<Link, LinkCredit>();
  /** The link asked for last, and its credit: deliveries come in runs. */
  #lastLink: Link | undefined;
  #lastCredit: LinkCredit | undefined;
  #live = 0;
  #pledged = 0;
  #pledgedBytes = 0;
  /** Of that what links hold above their shares; all that is left of a removed one. */
  #above = 0;
  #aboveBytes = 0;

  /** @throws MeshError INVALID_OPTIONS */
  constructor(budget: CreditBudget) {
    const { messages, bytes, minShare } = budget;
    const valid = [messages, bytes, minShare].every((n) => Number.isSafeInteger(n) && n >= 1);
    if (!valid || minShare > messages) {
      throw new MeshError(
        "INVALID_OPTIONS",
        `credit of ${messages} messages, ${bytes} bytes and minShare ${minShare}: ` +
          "all must be integers >= 1, and minShare at most messages",
      );
    }
    this.#budget = budget;
    const { minShareBytes = 1 } = budget;
    this.#minShareBytes = Math.max(minShareBytes, 1, Math.floor((bytes / messages) * minShare));
  }

  /** Messages that are here, or may come without further leave. */
  get pledged(): number {
    return this.#pledged;
  }

  /** Their envelope bytes. */
  get pledgedBytes(): number {
    return this.#pledgedBytes;
  }

  /** A new, idle link. Adding one that is there changes nothing. */
  addLink(link: Link): void {
    if (this.#links.has(link)) return;
    this.#live++;
    this.#lastLink = undefined;
    this.#links.set(link, {
      live: true,
      active: false,
      numberLimit: 0,
      bytesLimit: 0,
      delivered: 0,
      deliveredBytes: 0,
      consumed: 0,
      consumedBytes: 0,
    });
  }

  /**
   * The link has ended: what it did not use is free; what it delivered counts until it is consumed.
   */
  removeLink(link: Link): void {
    const credit = this.#creditOf(link);
    if (credit?.live !== true) return;
    this.#live--;
    this.#unpledge(credit);
    credit.live = false;
    this.#pledge(credit);
    if (credit.consumed === credit.delivered) this.#forget(link);
  }

  /**
   * A message arrived; the link is active from now on. False when it had no leave to come: nothing
   * is recorded, and the caller drops the link. Several at once have it together, or not at all.
   */
  onDelivered(link: Link, bytes: number, count = 1): boolean {
    const credit = this.#creditOf(link);
    if (credit?.live !== true || credit.numberLimit === 0) return false;
    const within =
      credit.delivered + count <= credit.numberLimit &&
      credit.deliveredBytes + bytes <= credit.bytesLimit;
    if (!within && (count > 1 || credit.delivered > credit.consumed)) return false;
    this.#unpledge(credit);
    credit.delivered += count;
    credit.deliveredBytes += bytes;
    credit.active = true;
    this.#pledge(credit);
    return true;
  }

  /**
   * Messages of this link have left memory here. Call it before a settle is sent. More than was
   * delivered is not counted, so that a caller's mistake cannot widen the bound.
   */
  onConsumed(link: Link, bytes: number, count = 1): void {
    const credit = this.#creditOf(link);
    if (credit === undefined || credit.consumed === credit.delivered) return;
    this.#unpledge(credit);
    credit.consumed += Math.min(count, credit.delivered - credit.consumed);
    credit.consumedBytes += Math.min(bytes, credit.deliveredBytes - credit.consumedBytes);
    this.#pledge(credit);
    if (!credit.live && credit.consumed === credit.delivered) this.#forget(link);
  }

  /** The link has something to send. `onDelivered` says so too. */
  markActive(link: Link): void {
    const credit = this.#creditOf(link);
    if (credit !== undefined) credit.active = true;
  }

  /**
   * The link has had nothing to send for a while: it keeps what it has and is not given more than
   * `minShare`.
   */
  markIdle(link: Link): void {
    const credit = this.#creditOf(link);
    if (credit !== undefined) credit.active = false;
  }

  /**
   * Raises the link's limits as far as the budget allows and returns them: what is returned is
   * pledged. Not to be raised, they are what they were; but a link that has none yet gets its first,
   * or it could not send the one message that may always go.
   */
  limitsFor(link: Link, raised = true): CreditLimits {
    const credit = this.#creditOf(link);
    if (credit?.live !== true) return { numberLimit: 0, bytesLimit: 0 };
    if (!raised && credit.numberLimit > 0) return limitsOf(credit);
    const number = this.#numberRise(credit);
    const bytes = this.#bytesRise(credit);
    this.#unpledge(credit);
    // A message that went beyond the limits has used up the part it went beyond.
    if (number > 0) credit.numberLimit = Math.max(credit.numberLimit, credit.delivered) + number;
    if (bytes > 0) credit.bytesLimit = Math.max(credit.bytesLimit, credit.deliveredBytes) + bytes;
    this.#pledge(credit);
    return limitsOf(credit);
  }

  /**
   * True when telling new limits is worth a frame: they would rise by at least half of the window
   * that the link may have now. In steady flow that is when half of the last grant has been
   * consumed. Ask after consuming for that link, and for every link at each heartbeat, because
   * another link's consuming frees budget too.
   */
  needsUpdate(link: Link): boolean {
    const credit = this.#creditOf(link);
    if (credit?.live !== true) return false;
    const number = this.#numberRise(credit);
    const bytes = this.#bytesRise(credit);
    return (
      (number > 0 && number >= pledgedOf(credit)) || (bytes > 0 && bytes >= pledgedBytesOf(credit))
    );
  }

  #creditOf(link: Link): LinkCredit | undefined {
    if (link === this.#lastLink) return this.#lastCredit;
    this.#lastLink = link;
    this.#lastCredit = this.#links.get(link);
    return this.#lastCredit;
  }

  #forget(link: Link): void {
    this.#links.delete(link);
    this.#lastLink = undefined;
    this.#lastCredit = undefined;
  }

  #numberRise(credit: LinkCredit): number {
    // The first leave of a link lets it send one message of any size: not while bytes are used up.
    if (credit.numberLimit === 0 && this.#bytesRise(credit) === 0) return 0;
    const { messages, minShare } = this.#budget;
    const mine = pledgedOf(credit);
    const others = this.#above - aboveOf(credit, mine, minShare);
    const most = messages + this.#live * minShare - this.#pledged;
    return riseOf(credit.active, mine, messages - others, most, minShare);
  }

  #bytesRise(credit: LinkCredit): number {
    const { bytes } = this.#budget;
    const share = this.#minShareBytes;
    const mine = pledgedBytesOf(credit);
    const others = this.#aboveBytes - aboveOf(credit, mine, share);
    const most = bytes + this.#live * share - this.#pledgedBytes;
    return riseOf(credit.active, mine, bytes - others, most, share);
  }

  #pledge(credit: LinkCredit): void {
    this.#count(credit, 1);
  }

  #unpledge(credit: LinkCredit): void {
    this.#count(credit, -1);
  }

  #count(credit: LinkCredit, sign: 1 | -1): void {
    const messages = pledgedOf(credit);
    const bytes = pledgedBytesOf(credit);
    this.#pledged += sign * messages;
    this.#pledgedBytes += sign * bytes;
    this.#above += sign * aboveOf(credit, messages, this.#budget.minShare);
    this.#aboveBytes += sign * aboveOf(credit, bytes, this.#minShareBytes);
  }
}

const limitsOf = ({ numberLimit, bytesLimit }: LinkCredit): CreditLimits => ({
  numberLimit,
  bytesLimit,
});

/** By how much a link's pledge of `mine` may rise, of a budget of which so much is free, and by at most `most`. */
const riseOf = (
  active: boolean,
  mine: number,
  free: number,
  most: number,
  share: number,
): number => {
  const window = active ? Math.max(share, Math.floor((free * 3) / 4)) : share;
  return Math.max(0, Math.min(window - mine, most));
};

/** What a link that holds so much holds above its share; one that was removed has none. */
const aboveOf = ({ live }: LinkCredit, pledged: number, share: number): number =>
  live ? Math.max(0, pledged - share) : pledged;

const pledgedOf = ({ live, numberLimit, delivered, consumed }: LinkCredit): number =>
  (live ? Math.max(numberLimit, delivered) : delivered) - consumed;

const pledgedBytesOf = (credit: LinkCredit): number => {
  const { live, bytesLimit, deliveredBytes, consumedBytes } = credit;
  return (live ? Math.max(bytesLimit, deliveredBytes) : deliveredBytes) - consumedBytes;
};
