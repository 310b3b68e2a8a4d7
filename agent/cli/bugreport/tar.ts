/**
 * A POSIX tar archive (ustar, IEEE Std 1003.1-1988 §10.1.1) of small files in memory; every file mode 0600, owner root.
 *
 *   0        100    108   116   124    136     148        156    157        257     263     265      512
 *   | name   | mode | uid | gid | size | mtime | checksum | type | linkname | magic | vers. | ...    | content, padded
 */

export interface TarEntry {
  /** At most 99 bytes. */
  readonly name: string;
  readonly content: Uint8Array;
}

const BLOCK_BYTES = 512;
const MAX_NAME_BYTES = 99;

/** @param timeSec modification time of every file, Unix seconds */
export function tarOf(entries: readonly TarEntry[], timeSec: number): Buffer {
  const parts = entries.flatMap(({ name, content }) => [
    header(name, content.length, timeSec),
    content,
    Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header(name: string, size: number, timeSec: number): Buffer {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new RangeError(`tar: name ${name} is too long`);
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number): void =>
    void block.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  block.write(name, 0, 'utf8');
  octal(0o600, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(timeSec, 136, 11);
  block.fill(' ', 148, 156);
  block.write('0', 156, 'latin1');
  block.write('ustar\u000000root', 257, 'latin1');
  block.write('root', 297, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
