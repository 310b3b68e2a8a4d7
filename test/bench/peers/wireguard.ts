/**
 * wireguard-go on both sides, set up over its own socket (the cross-platform userspace interface of wireguard.com/xplatform)
 * with keys made here, so that wireguard-tools need not be there.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createConnection } from 'node:net';
import { until } from '../../../agent/lab/wait.ts';
import { programAt } from './programs-found.ts';
import { other, SIDES, type Side, type Stage } from './stage.ts';

const PORT = 51820;
/** wg-quick's default: 1500 minus outer IPv6, UDP and WireGuard headers. */
const MTU_BYTES = 1420;

/** The last 32 bytes of either DER form of RFC 8410 are the key itself. */
function keyPair(): { readonly secret: string; readonly open: string } {
  const pair = generateKeyPairSync('x25519');
  const hex = (der: Buffer): string => der.subarray(-32).toString('hex');
  return {
    secret: hex(pair.privateKey.export({ type: 'pkcs8', format: 'der' })),
    open: hex(pair.publicKey.export({ type: 'spki', format: 'der' })),
  };
}

/** Writes one request; the answer ends with errno=N. */
function configure(socketPath: string, lines: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
      if (!answer.includes('\n\n')) return;
      socket.end();
      if (answer.includes('errno=0')) resolve();
      else reject(new Error(`wireguard-go: ${answer.trim()}`));
    });
    socket.on('error', reject);
    socket.write(`${lines.join('\n')}\n\n`);
  });
}

export async function startWireguard(stage: Stage): Promise<void> {
  const keys = { a: keyPair(), b: keyPair() };
  for (const side of SIDES) await startSide(stage, side, keys[side].secret, keys[other(side)].open);
}

async function startSide(stage: Stage, side: Side, secret: string, peer: string): Promise<void> {
  // The socket's folder is not of the namespace: the interface's name keeps two benchmarks apart.
  const device = `wg${stage.namespace(side).slice('weft-bench-'.length)}`;
  const socketPath = `/var/run/wireguard/${device}.sock`;
  stage.stray(socketPath);
  stage.daemon(side, [programAt('wireguard-go'), '-f', device], { LOG_LEVEL: 'error' });
  const settings = [
    ...['set=1', `private_key=${secret}`, `listen_port=${PORT}`, 'replace_peers=true', `public_key=${peer}`],
    ...[`endpoint=${stage.underlay(other(side))}:${PORT}`, 'allowed_ip=0.0.0.0/0'],
  ];
  await until(`socket of ${device}`, { timeoutMs: 10_000 }, async () => {
    await configure(socketPath, settings);
    return true;
  });
  await stage.address(side, device, MTU_BYTES);
}
