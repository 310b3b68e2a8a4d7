/**
 * The one schema of weft's configuration: its types, defaults, limits and documentation. load.ts applies it to flags,
 * environment, file and the host settings of the state directory; docs/CONFIG.md is checked against it.
 *
 * A field `gossipPort` is the key `gossip_port` in YAML and `WEFT_GOSSIP_PORT` in the environment; a nested
 * `log.level` is `WEFT_LOG_LEVEL`. Units are in the names. Every key says what it is for and when to change it.
 */
import { z } from 'zod';
import { canonicalIp, type Endpoint, parseEndpoint } from '../endpoint.ts';

/** As long as the data path can tell (datapath/fdb-moves.ts). */
const MAX_FREEZE_SEC = 86_400;

export const SEALED_PORT = 7947;
export const GOSSIP_PORT = 7946;
/** Ports that belong to plain tunnels, never to sealed or gossip sockets. */
const PLAIN_PORTS = [4789, 6081, 8472];

const port = z
  .int()
  .min(1)
  .max(65535)
  .refine((value) => !PLAIN_PORTS.includes(value), {
    error: 'must not be 4789, 6081 or 8472, which belong to plain tunnels',
  });

/** Text as the operator wrote it, or the value that a default or another layer already parsed. */
const endpoint = z.string().transform((text, context): Endpoint => {
  const parsed = parseEndpoint(text, SEALED_PORT);
  if (parsed !== null && !PLAIN_PORTS.includes(parsed.port)) return parsed;
  context.addIssue({
    code: 'custom',
    message: 'must be IP or IP:PORT ([IP]:PORT for IPv6) with a port other than 4789, 6081 and 8472',
  });
  return z.NEVER;
});

const listenAddress = z.string().transform((text, context): Endpoint | null => {
  if (text === 'off') return null;
  const parsed = parseEndpoint(text.replace(/^localhost(?=:|$)/, '127.0.0.1'), 9586);
  if (parsed !== null) return parsed;
  context.addIssue({ code: 'custom', message: 'must be IP:PORT, such as 127.0.0.1:9586, or off' });
  return z.NEVER;
});

const hostName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and inner hyphens');

const overlayAddress = z.string().refine((text) => text === 'auto' || isCidr(text), {
  error: 'must be an address with its prefix, such as 10.80.0.1/24, or auto',
});

/** An address with a prefix length, of either family. */
function isCidr(text: string): boolean {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const ip = canonicalIp(match?.[1] ?? '');
  return ip !== null && Number(match?.[2]) <= (ip.includes(':') ? 128 : 32);
}

const absolutePath = z.string().regex(/^\//, 'must be an absolute path');
const describe = <T extends z.ZodType>(schema: T, text: string): T => schema.describe(text);

/** The settings that belong to one host; `init` and `up` record them in STATE/host.yaml. */
const hostShape = {
  name: describe(
    hostName.nullable().default(null),
    'Name of this host in the mesh. Fixed once it has joined.',
  ),
  address: describe(
    overlayAddress.default('auto'),
    'Overlay address with prefix for the TAP; `auto` takes what the admitter assigns. Fixed once it has joined.',
  ),
  underlay: describe(
    endpoint.nullable().default(null),
    'Address, and port if not 7947, on which other hosts reach this one. Unset: the address of the route to the mesh.',
  ),
  tap: describe(
    z
      .string()
      .regex(
        /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/,
        'must be 1 to 15 letters, digits, dots, hyphens or underscores',
      )
      .default('weft0'),
    'Name of the TAP device. It is created at start and removed at stop unless it existed before.',
  ),
};

export const configSchema = z.strictObject({
  ...hostShape,
  stateDir: describe(
    absolutePath.default('/var/lib/weft'),
    'Keys, certificates and what must survive a restart; mode 0700.',
  ),
  socket: describe(
    absolutePath.default('/run/weft/weft.sock'),
    'Control socket that the other verbs talk to; mode 0660.',
  ),
  gossipPort: describe(port.default(GOSSIP_PORT), 'UDP port of membership traffic.'),
  allowPlain: describe(
    z.array(z.int().min(1).max(0xffffff)).max(16).default([]),
    'Segments (VNI) that a later policy may make plain although this host has had them sealed. For one that is not named here the host exchanges no frames from then on.',
  ),
  pathMtu: describe(
    z.enum(['on', 'off']).default('on'),
    'Measure how large a packet the path to each peer carries. `off` only where every path carries the segment MTU.',
  ),
  workers: describe(
    z
      .union([z.literal('auto'), z.literal('single'), z.coerce.number().int().min(1).max(15)], {
        error: 'must be auto, single, or a number of pairs from 1 to 15',
      })
      .default('auto'),
    'Data-plane threads: `single` is one for both directions, a number is that many pairs of one for each direction. `auto` goes by the number of cores.',
  ),
  nice: describe(
    z
      .union([z.literal('auto'), z.coerce.number().int().min(-20).max(19)], {
        error: 'must be auto or a number from -20 to 19',
      })
      .default('auto'),
    'Priority of the agent among the programs of the host, as of nice(1). `auto` is -10 where it was started with 0 and may be raised (root or CAP_SYS_NICE).',
  ),
  offload: z
    .strictObject({
      tso: describe(
        z.enum(['on', 'off']).default('on'),
        'Take TCP super-frames of up to 64 KiB from the TAP and cut them here (TSO).',
      ),
      uso: describe(
        z.enum(['on', 'off']).default('on'),
        'Take UDP super-frames from the TAP (USO, Linux 6.2 and later).',
      ),
      gso: describe(
        z.enum(['on', 'off']).default('on'),
        'Send runs of equal datagrams as one message (UDP_SEGMENT). `off` for network drivers that damage them.',
      ),
      gro: describe(
        z.enum(['on', 'off']).default('on'),
        'Receive runs of datagrams as one message (UDP_GRO).',
      ),
      join: describe(
        z.enum(['on', 'off']).default('on'),
        'Join received neighbours of a flow into super-frames before they go to the TAP. `off` when the TAP is bridged to a device that cannot take them.',
      ),
      aes: describe(
        z.enum(['on', 'off']).default('on'),
        'Seal AES-256-GCM with libipsec-mb where it is installed; else, and with `off`, OpenSSL does it: the same bytes for up to four times the CPU time.',
      ),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: describe(
        z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
        'Least level that is written to stderr.',
      ),
      format: describe(
        z.enum(['auto', 'json', 'human']).default('auto'),
        '`auto` is human on a terminal and JSON lines otherwise.',
      ),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      address: describe(
        listenAddress.prefault('127.0.0.1:9586'),
        'IP:PORT of /metrics, /livez and /readyz, or `off`. They are readable by whoever reaches the address.',
      ),
      perPeer: describe(
        z.enum(['auto', 'on', 'off']).default('auto'),
        'Series per peer; `auto` leaves them out above 100 peers.',
      ),
      page: describe(
        z.enum(['on', 'off']).default('off'),
        'Serve the read-only web page at /ui/ of metrics.address too, to whoever reaches it. `weft ui` shows it without this.',
      ),
    })
    .prefault({}),
  udp: z
    .strictObject({
      sendPorts: describe(
        z.int().min(1).max(16).default(8),
        'Source ports that flows are spread over, for underlay ECMP and receive-side scaling; 1 means the listening port only. Sealed frames use a port only after a probe from it was answered, and, with one pair of workers, while 100 Mbit/s and more go to the peer.',
      ),
      receiveBufferBytes: describe(
        z.int().min(65536).max(268435456).default(8388608),
        'Kernel buffer of each receiving socket; raise it when weft_udp_socket_drops_total grows.',
      ),
      sendBufferBytes: describe(
        z.int().min(65536).max(268435456).default(8388608),
        'Kernel buffer of each sending socket.',
      ),
    })
    .prefault({}),
  fdb: z
    .strictObject({
      limit: describe(z.int().min(64).max(65536).default(8192), 'MAC addresses learned per segment.'),
      perPeerLimit: describe(z.int().min(1).max(65536).default(1024), 'MAC addresses learned from one peer.'),
      ageingSec: describe(
        z.int().min(10).max(86400).default(300),
        'A learned address that is silent this long is forgotten.',
      ),
      duplicateMoves: describe(
        z.int().min(2).max(1000).default(5),
        'The move between hosts, within `fdb.duplicate_window_sec`, that is one too many: two hosts claim the address, and the one that has it keeps it (RFC 7432).',
      ),
      duplicateWindowSec: describe(
        z.int().min(2).max(1800).default(180),
        'Time in which the moves of an address are counted, from the first.',
      ),
      duplicateFreezeSec: describe(
        z.int().min(0).max(MAX_FREEZE_SEC).default(1800),
        'How long an address that two hosts claim stays where it is; 0: it always goes where it was seen last.',
      ),
    })
    .prefault({}),
  session: z
    .strictObject({
      rekeyAfterSec: describe(z.int().min(5).max(120).default(120), 'Age at which a session gets new keys.'),
      rekeyAfterPackets: describe(
        z
          .int()
          .min(65536)
          .max(2 ** 34)
          .default(2 ** 34),
        'Packets in one lane after which a session gets new keys.',
      ),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;

/** Keys of STATE/host.yaml, a subset of the configuration. */
export const hostSchema = z.strictObject(hostShape);
export type HostSettings = z.output<typeof hostSchema>;
