/**
 * Everything that passes one network device, by AF_PACKET, for the outer side of `weft capture`: reads only, in the process of the
 * verb, so that the agent needs no further right. Loses packets when the kernel's socket buffer is full.
 */
import { networkInterfaces } from 'node:os';
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  type FrameBatch,
  openPacketSocket,
  receivePackets,
  socketDrops,
} from 'tun-tap';
import { canonicalIp } from '../endpoint.ts';
import { WeftError } from '../errors.ts';

const BATCH_FRAMES = 64;
/** Batches at once: others wait for this thread too. */
const MAX_BATCHES = 16;
/** linux/if_packet.h: PACKET_OUTGOING. */
const OUTGOING = 4;

/** The device that has an address, or null. */
export function deviceOf(ip: string): string | null {
  const found = Object.entries(networkInterfaces()).find(([, all]) =>
    all?.some(({ address }) => canonicalIp(address) === ip),
  );
  return found?.[0] ?? null;
}

export class PacketWatch {
  readonly #fd: number;
  readonly #batch: FrameBatch = createFrameBatch(BATCH_FRAMES);

  /** @throws WeftError E_PRIVILEGE, E_DEVICE */
  constructor(device: string) {
    try {
      this.#fd = openPacketSocket(device);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
      if (code === 'EPERM')
        throw new WeftError(
          'E_PRIVILEGE',
          'packets of the underlay are for root: run as root, or use -i inner',
          {
            cause,
          },
        );
      throw new WeftError('E_DEVICE', `${device} cannot be watched (${code})`, { cause });
    }
  }

  /** Hands over what has come; `frame` is the taker's. */
  drain(take: (frame: Uint8Array, outgoing: boolean) => void): void {
    const { bytes, desc } = this.#batch;
    for (let turn = 0; turn < MAX_BATCHES; turn++) {
      const count = receivePackets(this.#fd, this.#batch);
      for (let i = 0; i < count; i++) {
        const at = i * DESC_STRIDE;
        const off = desc[at + D.OFF] ?? 0;
        take(bytes.slice(off, off + (desc[at + D.LEN] ?? 0)), desc[at + D.KIND] === OUTGOING);
      }
      if (count < BATCH_FRAMES) return;
    }
  }

  get lost(): number {
    return socketDrops(this.#fd);
  }

  close(): void {
    closeFd(this.#fd);
  }
}
