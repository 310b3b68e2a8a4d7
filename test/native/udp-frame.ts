/** UDP over IPv4 over Ethernet as bytes, with a checksum of one's choice. Used by the native tests. */

/** RFC 1071, over an even number of bytes or one more. */
export function checksum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface UdpFrame {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly sourceIp: readonly number[];
  readonly targetIp: readonly number[];
  /** Bytes of it. */
  readonly payload: number;
  /** `partial`: only the pseudo-header sum, as a kernel leaves it for its hardware. */
  readonly sum: 'whole' | 'partial' | 'wrong' | 'none';
}

const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];

/** From port 4000 to port 5000. */
export function udpFrame(options: UdpFrame): Uint8Array {
  const { from, to, sourceIp, targetIp } = options;
  const length = 8 + options.payload;
  const ip = [0x45, 0, ...u16(20 + length), 0, 1, 0x40, 0, 64, 17, 0, 0, ...sourceIp, ...targetIp];
  ip.splice(10, 2, ...u16(checksum(Uint8Array.from(ip))));
  const udp = new Uint8Array(length);
  udp.set([...u16(4000), ...u16(5000), ...u16(length)]);
  for (let i = 8; i < length; i++) udp[i] = (i * 7) & 0xff;
  const pseudo = ~checksum(Uint8Array.from([...sourceIp, ...targetIp, 0, 17, ...u16(length)])) & 0xffff;
  const whole = checksum(udp, pseudo) || 0xffff;
  const field = { whole, partial: pseudo, wrong: whole ^ 0x5555, none: 0 }[options.sum];
  udp.set(u16(field), 6);
  return Uint8Array.from([...to, ...from, 8, 0, ...ip, ...udp]);
}
