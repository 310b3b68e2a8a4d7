/**
 * The agent's UDP sockets on the underlay: one listening socket for sealed datagrams, one for plain VXLAN or Geneve when
 * the segment is plain, and a pool of sending-only sockets whose source ports spread flows over the underlay's paths.
 * Opened on the main thread; the workers get descriptors. Called by agent.ts.
 */
import { closeFd, localAddressFor, openUdp } from 'tun-tap';
import { type Endpoint, formatEndpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';

/** RFC 7348 §5 and RFC 8926 §3.3: the destination ports that every other implementation expects. */
export const PLAIN_PORT = { vxlan: 4789, geneve: 6081 } as const;

export interface UnderlaySettings {
  readonly listen: Endpoint;
  readonly plainPort: number | null;
  /** How many source ports plain frames leave from; sealed frames leave from the listening socket. */
  readonly sendPorts: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
}

export interface Underlay {
  readonly sealedFd: number;
  readonly plainFd: number | null;
  /** The listening socket first, then the sending-only ones; bounded by sendPorts + 1. */
  readonly sendFds: readonly number[];
  close(): void;
}

/** Opens one socket, naming the address and the fix when that fails. */
function open(what: string, key: string, options: Parameters<typeof openUdp>[0]): number {
  try {
    return openUdp(options).fd;
  } catch (error) {
    const at = formatEndpoint({ ip: options.address, port: options.port });
    const code = (error as NodeJS.ErrnoException).code;
    const cause = { cause: error };
    if (code === 'EADDRINUSE')
      throw new WeftError(
        'E_ADDRESS_IN_USE',
        `${what} ${at} is in use by another process: stop it or choose another ${key}`,
        cause,
      );
    if (code === 'EADDRNOTAVAIL')
      throw new WeftError(
        'E_CONFIG',
        `${what} ${at}: this host does not have that address; correct ${key}`,
        cause,
      );
    if (code === 'EACCES' || code === 'EPERM')
      throw new WeftError('E_PRIVILEGE', `${what} ${at}: not permitted; run as root`, cause);
    throw new WeftError('E_DEVICE', `${what} ${at}: ${String((error as Error).message)}`, cause);
  }
}

/**
 * Opens every socket or none.
 * @throws WeftError E_ADDRESS_IN_USE, E_CONFIG, E_PRIVILEGE, E_DEVICE
 */
export function openUnderlay(settings: UnderlaySettings): Underlay {
  const { listen, plainPort } = settings;
  const buffers = {
    receiveBufferBytes: settings.receiveBufferBytes,
    sendBufferBytes: settings.sendBufferBytes,
  };
  const fds: number[] = [];
  const close = (): void => {
    for (const fd of fds.splice(0)) closeFd(fd);
  };
  try {
    const sealedFd = open('sealed UDP socket', '--underlay', {
      address: listen.ip,
      port: listen.port,
      join: true,
      ...buffers,
    });
    fds.push(sealedFd);
    const sendFds = [sealedFd];
    let plainFd: number | null = null;
    if (plainPort !== null) {
      plainFd = open('plain UDP socket', '--underlay', {
        address: listen.ip,
        port: plainPort,
        join: true,
        ...buffers,
      });
      fds.push(plainFd);
      for (let i = 0; i < settings.sendPorts; i++) {
        const fd = open('sending UDP socket', '--underlay', {
          address: listen.ip,
          port: 0,
          sendOnly: true,
          ...buffers,
        });
        fds.push(fd);
        sendFds.push(fd);
      }
    }
    return { sealedFd, plainFd, sendFds, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Documentation address of RFC 5737: routed like any other, so it asks for the default route without sending. */
const ANYWHERE = '192.0.2.1';

/**
 * The source address that the kernel would use towards `towards` (or by default).
 * @throws WeftError E_CONFIG when there is no route
 */
export function defaultUnderlayIp(towards: string = ANYWHERE): string {
  const ip = localAddressFor(towards);
  if (ip !== null) return ip;
  throw new WeftError(
    'E_CONFIG',
    `no route to ${towards}, so the underlay address is unknown: give --underlay IP`,
  );
}
