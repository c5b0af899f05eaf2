/** One line of the result: what was measured, of which system, with the figures of its scenario. */
export type Row = {
  readonly scenario: string;
  readonly system: string;
  readonly payloadBytes: number;
  readonly codec?: "json";
  /** Of the broker, as the distribution has it. */
  readonly version?: string;
  /** What the figures were confirmed by. */
  readonly ack?: string;
  /** Why there are no figures although it was tried. */
  readonly failed?: string;
  /** Why it was not tried. */
  readonly missing?: string;
  /** What was lost or out of order: the figures are no result. */
  readonly noResult?: string;
  /** What is asked of the comparison with this system, or of meshbus itself; what it was; whether it holds. */
  readonly goal?: string;
  readonly measured?: string;
  readonly met?: boolean;
  readonly [figure: string]: number | string | boolean | undefined;
};
