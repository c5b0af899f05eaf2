/** How a link came about. */

export type LinkOrigin = {
  readonly dialled: boolean;
  /** The node the dialler means to reach, or "". */
  readonly target: string;
  readonly address: string;
  /** Of the transport. */
  readonly scheme: string;
  /** It may be sent on to a better address. */
  readonly redirect: boolean;
  /** How long the greeting may take, in ms; default `handshakeMs`. */
  readonly patienceMs?: number;
};

/** A node's link with itself. */
export const ITSELF: LinkOrigin = Object.freeze({
  dialled: false,
  target: "",
  address: "itself",
  scheme: "itself",
  redirect: false,
});
