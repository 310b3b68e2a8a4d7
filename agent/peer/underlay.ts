/**
 * The agent's UDP sockets on the underlay: for each pair of workers a listening socket for sealed datagrams and one for
 * plain VXLAN or Geneve when the segment is plain, and a pool of sending-only sockets whose source ports spread flows over the underlay's paths.
 * Opened on the main thread; the workers get descriptors. Called by agent.ts.
 */
import { closeFd, localAddressFor, openUdp, steerByLane, type UdpOptions, type UdpSocket } from 'tun-tap';
import { type Endpoint, formatEndpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';

/** RFC 7348 §5 and RFC 8926 §3.3: the destination ports that every other implementation expects. */
export const PLAIN_PORT = { vxlan: 4789, geneve: 6081 } as const;

export interface UnderlaySettings {
  readonly listen: Endpoint;
  readonly plainPort: number | null;
  /** Receiving sockets on each port, one for each pair of workers. */
  readonly pairs: number;
  /** UDP_GRO. */
  readonly join: boolean;
  /** Source ports to spread flows over. */
  readonly sendPorts: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
}

export interface Underlay {
  /** The first listening socket; the control plane sends from it. */
  readonly sealedFd: number;
  /** Bounded by `pairs`. */
  readonly sealedFds: readonly number[];
  /** Bounded by `pairs`; none without a plain port. */
  readonly plainFds: readonly number[];
  /** Sending-only sockets; bounded by sendPorts. */
  readonly sendFds: readonly number[];
  /** The kernel knows UDP_SEGMENT, and granted UDP_GRO. */
  readonly segments: boolean;
  readonly joins: boolean;
  close(): void;
}

/** Opens one socket, naming the address and the fix when that fails. */
function open(what: string, key: string, options: Parameters<typeof openUdp>[0]): UdpSocket {
  try {
    return openUdp(options);
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
  const add = (what: string, options: Partial<UdpOptions>, port: number): UdpSocket => {
    const socket = open(what, '--underlay', { address: listen.ip, port, ...buffers, ...options });
    fds.push(socket.fd);
    return socket;
  };
  const listeners = (what: string, port: number): UdpSocket[] => {
    // A port that is shared could be joined by another process of this user: one socket shares nothing.
    const options = { join: settings.join, reusePort: settings.pairs > 1 };
    const sockets = Array.from({ length: settings.pairs }, () => add(what, options, port));
    return sockets;
  };
  try {
    const sealed = listeners('sealed UDP socket', listen.port);
    const first = sealed[0]!;
    if (settings.pairs > 1) {
      const errno = steerByLane(first.fd, settings.pairs);
      if (errno !== 0)
        throw new WeftError(
          'E_DEVICE',
          `sealed UDP socket: the kernel refuses to steer by lane (errno ${errno}): set workers to 1`,
        );
    }
    const plain = plainPort === null ? [] : listeners('plain UDP socket', plainPort);
    const sending = Array.from({ length: settings.sendPorts > 1 ? settings.sendPorts : 0 }, () =>
      add('sending UDP socket', { sendOnly: true }, 0),
    );
    const fdsOf = (sockets: readonly UdpSocket[]): number[] => sockets.map((socket) => socket.fd);
    return {
      sealedFd: first.fd,
      sealedFds: fdsOf(sealed),
      plainFds: fdsOf(plain),
      sendFds: fdsOf(sending),
      segments: first.segments,
      joins: first.joins,
      close,
    };
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
  const ip = localAddressFor(towards) ?? localAddressFor(ANYWHERE);
  if (ip !== null) return ip;
  throw new WeftError(
    'E_CONFIG',
    `no route to ${towards}, so the underlay address is unknown: give --underlay IP`,
  );
}
