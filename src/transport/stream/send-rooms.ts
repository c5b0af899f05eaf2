/**
 * Memory in which frames wait for their socket, used again.
 *
 * Problem: what is sent must not change while the socket may still read it, and a copy in new memory costs several
 * times the copying: its pages have to be got first. Approach: rooms of a few sizes; one that the socket has taken serves
 * the next frame, and is mostly still in a cache.
 *
 * Invariant: a room belongs to one frame from `take` to `give`. Bound: SPARE_BYTES_MAX wait here.
 */

/** What is around a payload of a round size has room as well. */
const AROUND_BYTES = 4 * 1024;
const SMALLEST_BYTES = 16 * 1024;
const SPARE_BYTES_MAX = 2 * 1024 * 1024;

export class SendRooms {
  /** By size: SMALLEST_BYTES, twice that, and so on, each and AROUND_BYTES. */
  readonly #spare: Buffer[][] = [];
  #spareBytes = 0;

  /** A room of at least so many bytes. */
  take(bytes: number): Buffer {
    const size = sizeOf(bytes);
    const room = this.#spare[size]?.pop();
    if (room === undefined) return Buffer.allocUnsafeSlow(bytesOf(size));
    this.#spareBytes -= room.length;
    return room;
  }

  /** Nobody reads the room any more. */
  give(room: Buffer): void {
    if (this.#spareBytes + room.length > SPARE_BYTES_MAX) return;
    const size = sizeOf(room.length);
    let spare = this.#spare[size];
    if (spare === undefined) {
      spare = [];
      this.#spare[size] = spare;
    }
    spare.push(room);
    this.#spareBytes += room.length;
  }
}

const bytesOf = (size: number): number => SMALLEST_BYTES * 2 ** size + AROUND_BYTES;

const sizeOf = (bytes: number): number => {
  let size = 0;
  while (bytesOf(size) < bytes) size++;
  return size;
};
