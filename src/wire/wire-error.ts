/**
 * What a codec throws when bytes are not what they should be, or a value does not fit the wire.
 *
 * Whoever reads from a peer or a disk catches this one class and decides: close the link, quarantine
 * the block. Nothing else is ever thrown by a decoder, whatever the bytes.
 */
export class WireError extends Error {
  override readonly name = "WireError";
  /** What was wrong, with values: "length 700 exceeds the 12 bytes left". Safe to log. */
  readonly reason: string;

  constructor(reason: string) {
    super(`malformed wire data: ${reason}`);
    this.reason = reason;
  }
}
