/**
 * Why a seed says nothing. An agent is silent to whoever does not know its mesh, so a token of another mesh and a blocked
 * path look alike from a join. The kernel tells them apart: a port that nobody listens on is answered by ICMP (RFC 1122
 * §3.2.2.1), an open one is not. Part of the composition root.
 */
import { createSocket } from 'node:dgram';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';

const WAIT_MS = 500;
/** discard: a port that no host of today listens on. */
const CLOSED_PORT = 9;

/** Whether one byte to the port is answered by ICMP port unreachable. */
function isRefused(to: Endpoint, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(to.ip.includes(':') ? 'udp6' : 'udp4');
    const finish = (refused: boolean): void => {
      cancel();
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close(() => resolve(refused));
    };
    const cancel = clock.after(WAIT_MS, () => finish(false));
    socket.on('error', (error) => finish((error as NodeJS.ErrnoException).code === 'ECONNREFUSED'));
    socket.connect(to.port, to.ip, () => {
      // The error of the first datagram is reported with the second, or by receiving.
      socket.send(new Uint8Array(1));
      clock.after(WAIT_MS / 2, () => {
        try {
          socket.send(new Uint8Array(1), () => {});
        } catch {
          // closed meanwhile
        }
      });
    });
  });
}

/** 'open': something listens there and does not answer us; 'closed': nothing listens; 'unknown': no word from the host. */
export async function silenceOf(endpoint: Endpoint, clock: Clock): Promise<'open' | 'closed' | 'unknown'> {
  const [port, control] = await Promise.all([
    isRefused(endpoint, clock),
    isRefused({ ip: endpoint.ip, port: CLOSED_PORT }, clock),
  ]);
  if (port) return 'closed';
  return control ? 'open' : 'unknown';
}
