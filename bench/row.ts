/** One line of the result: what was measured, of which system, with the figures of its scenario. */
export type Row = {
  readonly scenario: string;
  readonly system: string;
  readonly payloadBytes: number;
  readonly codec?: "json";
  /** Why there are no figures. */
  readonly failed?: string;
  readonly [figure: string]: number | string | boolean | undefined;
};
