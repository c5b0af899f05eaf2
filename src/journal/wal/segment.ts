/** A file of the write-ahead log and what of it is in use. */

import type { SegmentFile } from "./segment-file.ts";
import { SEGMENT_HEAD_BYTES } from "./segment-head.ts";

export class Segment {
  readonly file: SegmentFile;
  /** Number of the last commit in it; 0: none since it was free. */
  last = 0;
  /** Where the next record goes. */
  end = SEGMENT_HEAD_BYTES;
  /** Rows whose newest state is in it, and about what they take in the store below. */
  rows = 0;
  liveBytes = 0;

  constructor(file: SegmentFile) {
    this.file = file;
  }

  get capacity(): number {
    return this.file.capacity;
  }

  hasRoom(bytes: number): boolean {
    return this.end + bytes <= this.capacity;
  }

  /** Nothing of it is needed any more. */
  reset(): void {
    this.last = 0;
    this.end = SEGMENT_HEAD_BYTES;
  }
}
