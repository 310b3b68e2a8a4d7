/**
 * Reading and writing fixed binary structs: big endian, every length checked against a stated maximum. A reader never
 * throws on its input; it remembers that it failed, and `done` says whether everything was there and nothing was left.
 */

/** The last moment, in Unix ms, that a Date can hold and print. */
const MAX_TIME_MS = 8.64e15;

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** True when no read failed and no byte is left. */
  get done(): boolean {
    return !this.#failed && this.#at === this.#bytes.length;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get remaining(): number {
    return this.#failed ? 0 : this.#bytes.length - this.#at;
  }

  #take(size: number): number {
    if (this.#failed || this.#at + size > this.#bytes.length) {
      this.#failed = true;
      return -1;
    }
    this.#at += size;
    return this.#at - size;
  }

  /** Marks the input as wrong. */
  fail(): void {
    this.#failed = true;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at);
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at);
  }

  /** A u64 that must fit a safe integer. */
  u64(): number {
    const high = this.u32();
    const low = this.u32();
    if (high > 0x1fffff) this.#failed = true;
    return this.#failed ? 0 : high * 0x1_0000_0000 + low;
  }

  /** Unix ms that a Date can hold: a later one could not even be printed in a refusal. */
  timeMs(): number {
    const ms = this.u64();
    if (ms > MAX_TIME_MS) this.#failed = true;
    return this.#failed ? 0 : ms;
  }

  /** A copy of exactly `size` bytes; zeros after a failure. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size);
    return at < 0 ? new Uint8Array(size) : this.#bytes.slice(at, at + size);
  }

  /** u8 length, then UTF-8 of at most `max` bytes. */
  text(max: number): string {
    const size = this.u8();
    if (size > max) this.#failed = true;
    const raw = this.bytes(this.#failed ? 0 : size);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(raw);
    } catch {
      this.#failed = true;
      return '';
    }
  }

  /** u16 length, then at most `max` bytes. */
  block(max: number): Uint8Array {
    const size = this.u16();
    if (size > max) this.#failed = true;
    return this.bytes(this.#failed ? 0 : size);
  }

  /** u8 count, then `max` items at most. */
  list<T>(max: number, item: () => T): T[] {
    const count = this.u8();
    if (count > max) this.#failed = true;
    const items: T[] = [];
    for (let i = 0; i < count && !this.#failed; i++) items.push(item());
    return items;
  }
}

/**
 * Writes into fixed memory, larger than the largest record.
 * @throws RangeError for a value that its field does not hold: a number that wraps would sign something else
 */
export class ByteWriter {
  readonly #bytes = new Uint8Array(4096);
  readonly #view = new DataView(this.#bytes.buffer);
  #at = 0;

  #fits(value: number, max: number): number {
    if (Number.isInteger(value) && value >= 0 && value <= max) return value;
    throw new RangeError(`${value} does not fit a field of at most ${max}`);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, this.#fits(value, 0xff));
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, this.#fits(value, 0xffff));
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, this.#fits(value, 0xffffffff));
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    this.#fits(value, Number.MAX_SAFE_INTEGER);
    return this.u32(Math.floor(value / 0x1_0000_0000)).u32(value % 0x1_0000_0000);
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  text(value: string): this {
    const raw = new TextEncoder().encode(value);
    return this.u8(raw.length).bytes(raw);
  }

  block(value: Uint8Array): this {
    return this.u16(value.length).bytes(value);
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.u8(items.length);
    for (const item of items) write(item);
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }
}
