/**
 * Far end of a helper process inside a namespace, started by frames.ts: puts raw frames on an interface and datagrams on
 * the underlay.
 */
import { createSocket } from 'node:dgram';
import { closeFd, openPacketSocket, sendPacket } from 'tun-tap';
import { serveProbe } from '../../agent/lab/probe-server.ts';
import { delay } from '../../agent/lab/wait.ts';

export interface FramesToSend {
  readonly device: string;
  readonly frames: readonly Uint8Array[];
}

export interface DatagramsToSend {
  readonly address: string;
  readonly port: number;
  readonly payloads: readonly Uint8Array[];
  /** How long to collect answers after the last one. */
  readonly listenMs: number;
}

export interface Answers {
  readonly count: number;
  readonly bytes: number;
  /** Size of the longest. */
  readonly longest: number;
}

/** @returns how many the kernel took */
function sendFrames({ device, frames }: FramesToSend): number {
  const fd = openPacketSocket(device);
  let sent = 0;
  for (const frame of frames) if (sendPacket(fd, frame) === 0) sent++;
  closeFd(fd);
  return sent;
}

/** Sends datagrams from one socket and says what came back to it. */
async function sendDatagrams({ address, port, payloads, listenMs }: DatagramsToSend): Promise<Answers> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const answers = { count: 0, bytes: 0, longest: 0 };
  socket.on('message', (bytes) => {
    answers.count++;
    answers.bytes += bytes.length;
    answers.longest = Math.max(answers.longest, bytes.length);
  });
  socket.on('error', () => undefined);
  for (const payload of payloads) {
    await new Promise<void>((resolve) => socket.send(payload, port, address, () => resolve()));
  }
  await delay(listenMs);
  socket.close();
  return answers;
}

serveProbe({ sendFrames, sendDatagrams });
