/**
 * The TAP of a segment: made at start with the host's derived MAC and the segment's MTU, given its overlay address, and
 * gone when the descriptor closes, unless it existed before (then it is left as it was found, without our address).
 * Called by agent.ts; the data path gets the descriptor only.
 */
import { execFile } from 'node:child_process';
import {
  closeFd,
  configureInterface,
  interfaceMac,
  interfaceMtu,
  openTap,
  probeSuperFrame,
  TUN_F,
  TUN_F_TSO,
  TUN_F_USO,
} from 'tun-tap';
import { WeftError } from '../errors.ts';

/**
 * Frames that each queue of the TAP keeps while no worker reads. The kernel's own 500 are 4 ms of small datagrams, less than a
 * worker may have to wait behind two others for its core; what was lost between two hosts was lost here (docs/PERFORMANCE.md).
 */
export const TAP_QUEUE_FRAMES = 2000;

export interface TapSettings {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtuBytes: number;
  /** Overlay address with prefix, or null for none. */
  readonly address: string | null;
  /** One for each transmit worker. */
  readonly queues: number;
  /** What the stack may leave undone, if the kernel can: TCP and UDP super-frames; unfinished checksums always. */
  readonly tso: boolean;
  readonly uso: boolean;
  /** Largest super-frame in bytes. */
  readonly superFrameBytes: number;
}

export interface TapDevice {
  /** By queue. */
  readonly fds: readonly number[];
  /** TUN_F bits that the kernel took. */
  readonly offloads: number;
  /** 0, or the errno with which the kernel refuses super-frames that are written to it. */
  readonly superFrameErrno: number;
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtuBytes: number;
  /** Removes the address and closes the descriptor; the kernel removes a TAP that it made. Never throws. */
  close(): Promise<void>;
}

/** What TUNSETIFF and open answer, as one line each. */
function explain(error: unknown, name: string): WeftError {
  const code = (error as NodeJS.ErrnoException).code;
  const options = { cause: error };
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO')
    return new WeftError(
      'E_DEVICE',
      '/dev/net/tun is missing: load the tun module (modprobe tun) or pass the device into the container',
      options,
    );
  if (code === 'EACCES')
    return new WeftError(
      'E_PRIVILEGE',
      'this user may not open /dev/net/tun: udev makes it mode 0666, without udev run chmod 0666 /dev/net/tun',
      options,
    );
  if (code === 'EPERM')
    return new WeftError(
      'E_PRIVILEGE',
      `cannot make TAP ${name}: run as root or with CAP_NET_ADMIN`,
      options,
    );
  if (code === 'EBUSY')
    return new WeftError(
      'E_DEVICE',
      `TAP ${name} is in use by another process: choose another name with --tap`,
      options,
    );
  if (code === 'EINVAL')
    return new WeftError(
      'E_DEVICE',
      `an interface named ${name} exists and is no multi-queue TAP: remove it or choose another name with --tap`,
      options,
    );
  return new WeftError('E_DEVICE', `cannot open TAP ${name}: ${String((error as Error).message)}`, options);
}

/**
 * Opens and configures the TAP.
 * @throws WeftError E_DEVICE, E_PRIVILEGE
 */
export async function openTapDevice(settings: TapSettings): Promise<TapDevice> {
  const offloads = TUN_F.CSUM | (settings.tso ? TUN_F_TSO : 0) | (settings.uso ? TUN_F_USO : 0);
  const queues: { readonly fd: number; readonly name: string; readonly offloads: number }[] = [];
  const closeAll = (): void => {
    for (const { fd } of queues.splice(0)) closeFd(fd);
  };
  const open = (): void => {
    try {
      queues.push(openTap(settings.name, { multiQueue: true, offloads }));
    } catch (error) {
      throw explain(error, settings.name);
    }
  };
  open();
  const { fd, name } = queues[0]!;
  try {
    await checkAlone(name);
    for (let queue = 1; queue < settings.queues; queue++) open();
    configureInterface(name, { mac: settings.mac, mtu: settings.mtuBytes, up: true });
    const superFrames = settings.tso ? `gso_max_size ${settings.superFrameBytes}` : '';
    const address = settings.address === null ? '' : `address replace ${settings.address} dev ${name}\n`;
    // One process for both: nothing is forwarded while it runs.
    await ip(
      ['-batch', '-'],
      `link set dev ${name} txqueuelen ${TAP_QUEUE_FRAMES} ${superFrames}\n${address}`,
    );
  } catch (error) {
    closeAll();
    throw error instanceof WeftError ? error : explain(error, name);
  }
  return {
    fds: queues.map((queue) => queue.fd),
    offloads: queues.reduce((bits, queue) => bits & queue.offloads, offloads),
    superFrameErrno: probeSuperFrame(fd),
    name,
    mac: interfaceMac(name),
    mtuBytes: interfaceMtu(name),
    async close() {
      closeAll();
      // A TAP that existed before outlives the descriptors; the address is ours either way.
      if (settings.address !== null && exists(name))
        await ip(['address', 'del', settings.address, 'dev', name]).catch(() => {});
    },
  };
}

/**
 * A multi-queue TAP lets any number of processes in, and each would get a part of the frames.
 * @throws WeftError E_DEVICE when somebody else has it open
 */
async function checkAlone(name: string): Promise<void> {
  const [link] = JSON.parse(await ip(['-json', '-details', 'link', 'show', 'dev', name])) as LinkDetails[];
  if ((link?.linkinfo?.info_data?.numqueues ?? 1) > 1)
    throw new WeftError(
      'E_DEVICE',
      `TAP ${name} is in use by another process: choose another name with --tap`,
    );
}

/** The part of `ip -json -details link` that counts open queues. */
interface LinkDetails {
  readonly linkinfo?: { readonly info_data?: { readonly numqueues?: number } };
}

function exists(name: string): boolean {
  try {
    return interfaceMtu(name) > 0;
  } catch {
    return false;
  }
}

/** Runs iproute2, the one tool that knows every way to set an address, and returns what it prints. */
function ip(args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('ip', [...args], (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const detail = stderr.trim().split('\n')[0] || error.message;
      reject(new WeftError('E_DEVICE', `ip ${args.join(' ')}: ${detail}`, { cause: error }));
    });
    // Its end is told by its status.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
