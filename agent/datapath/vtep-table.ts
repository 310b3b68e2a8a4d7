/**
 * Source addresses that a plain segment accepts frames from: (segment, 16-byte address) to slot. Open addressing over
 * one typed array, private to a receive worker and changed by its commands; looked up per plain datagram without
 * allocation. An address is four 32-bit words, IPv4 mapped into IPv6.
 */

const STRIDE = 6; // segment + 1, four address words, slot
/** Bounded by the slots there are, at most half full. */
const ENTRIES = 2048;

export class VtepTable {
  readonly #words = new Int32Array(ENTRIES * STRIDE);

  #home(segment: number, a: number, b: number, c: number, d: number): number {
    let h = Math.imul(d ^ Math.imul(c, 0x9e3779b1) ^ Math.imul(a ^ b ^ segment, 0x85ebca6b), 0xc2b2ae35);
    h ^= h >>> 16;
    return h & (ENTRIES - 1);
  }

  #locate(segment: number, a: number, b: number, c: number, d: number): number {
    const w = this.#words;
    let i = this.#home(segment, a, b, c, d);
    for (;;) {
      const at = i * STRIDE;
      const same =
        w[at] === segment + 1 && w[at + 1] === a && w[at + 2] === b && w[at + 3] === c && w[at + 4] === d;
      if (same || w[at] === 0) return at;
      i = (i + 1) & (ENTRIES - 1);
    }
  }

  /** Slot of a source, or -1. Hot path. */
  lookup(segment: number, a: number, b: number, c: number, d: number): number {
    const at = this.#locate(segment, a, b, c, d);
    return this.#words[at] === 0 ? -1 : this.#words[at + 5]!;
  }

  set(segment: number, address: readonly number[], slot: number): void {
    const [a = 0, b = 0, c = 0, d = 0] = address;
    const at = this.#locate(segment, a, b, c, d);
    this.#words.set([segment + 1, a, b, c, d, slot], at);
  }

  /** Forgets a source and closes the gap, so that entries that probed past it stay reachable. */
  remove(segment: number, address: readonly number[]): void {
    const [a = 0, b = 0, c = 0, d = 0] = address;
    const w = this.#words;
    let hole = this.#locate(segment, a, b, c, d) / STRIDE;
    if (w[hole * STRIDE] === 0) return;
    w[hole * STRIDE] = 0;
    for (let i = (hole + 1) & (ENTRIES - 1); w[i * STRIDE] !== 0; i = (i + 1) & (ENTRIES - 1)) {
      const at = i * STRIDE;
      const home = this.#home(w[at]! - 1, w[at + 1]!, w[at + 2]!, w[at + 3]!, w[at + 4]!);
      if (((i - home) & (ENTRIES - 1)) < ((i - hole) & (ENTRIES - 1))) continue;
      w.copyWithin(hole * STRIDE, at, at + STRIDE);
      w[at] = 0;
      hole = i;
    }
  }
}
