/**
 * 64-bit big-endian counters as JavaScript numbers. Every counter of the protocol stays below 2^53 (PROTOCOL.md), so a larger
 * one on the wire is malformed. Called by the codecs of this folder.
 */
const HIGH = 0x1_0000_0000;

/** @param value an integer from 0 to 2^53 - 1 */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / HIGH));
  view.setUint32(at + 4, value % HIGH);
}

/** Null from 2^53 on. */
export function getU64(view: DataView, at: number): number | null {
  const value = view.getUint32(at) * HIGH + view.getUint32(at + 4);
  return Number.isSafeInteger(value) ? value : null;
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
