/**
 * Inputs for a decoder, made from good ones by a seeded generator: bits and bytes changed, numbers set to the edges of their
 * range, pieces cut out, doubled, and exchanged with other good inputs. Reproducible: the same seed is the same inputs.
 */
export type Random = () => number;

/** Edges of one-byte fields and of the bytes of longer ones. */
const EDGES = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 192, 253, 254, 255] as const;
const MAX_BYTES = 4096;

export function mutate(inputs: readonly Uint8Array[], random: Random): Uint8Array {
  const pick = (below: number): number => Math.floor(random() * below);
  let bytes: Uint8Array = (inputs[pick(inputs.length)] ?? new Uint8Array(0)).slice();
  for (let steps = 1 + pick(4); steps > 0; steps--) bytes = step(bytes, inputs, pick);
  return bytes;
}

function step(bytes: Uint8Array, inputs: readonly Uint8Array[], pick: (below: number) => number): Uint8Array {
  const at = pick(bytes.length + 1);
  const length = 1 + pick(8);
  switch (pick(8)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = pick(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = EDGES[pick(EDGES.length)] ?? 0;
      return bytes;
    case 3:
      bytes.fill(pick(2) === 0 ? 0 : 255, at, Math.min(bytes.length, at + length));
      return bytes;
    case 4:
      return bytes.slice(0, at);
    case 5:
      return join(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + length)));
    case 6:
      return join(bytes.subarray(0, at), bytes.subarray(Math.max(0, at - length)));
    default: {
      const other = inputs[pick(inputs.length)] ?? bytes;
      return join(bytes.subarray(0, at), other.subarray(pick(other.length + 1)));
    }
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(Math.min(MAX_BYTES, a.length + b.length));
  joined.set(a.subarray(0, joined.length));
  joined.set(b.subarray(0, Math.max(0, joined.length - a.length)), Math.min(a.length, joined.length));
  return joined;
}
