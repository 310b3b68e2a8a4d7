/**
 * The overlays that are compared: what each is made of, how it is started on both sides of a stage, and the MTU that its
 * own defaults or documentation give it.
 */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, WEFT } from '../../../agent/lab/command.ts';
import { delay, until } from '../../../agent/lab/wait.ts';
import { expectOk } from '../../netns/mesh.ts';
import { programAt } from './programs-found.ts';
import { other, SIDES, type Side, type Stage } from './stage.ts';
import { startWireguard } from './wireguard.ts';

export interface System {
  readonly name: string;
  readonly crypto: string;
  /** What it carries: Ethernet (2) or IP (3). */
  readonly layer: 2 | 3;
  readonly programs: readonly string[];
  start(stage: Stage): Promise<void>;
}

/** The yardstick: all ratios are to this one in the same run. */
export const YARDSTICK = 'kernel-vxlan';

async function startKernelVxlan(stage: Stage): Promise<void> {
  for (const side of SIDES) {
    const ends = ['local', stage.underlay(side), 'remote', stage.underlay(other(side)), 'dev', stage.cable];
    await stage.ip(side, ['link', 'add', 'vx0', 'type', 'vxlan', 'id', '5', 'dstport', '4789', ...ends]);
    await stage.address(side, 'vx0', 1450);
  }
}

/** @param nodeFlags flags of Node for the two agents, such as those of a profiler */
export async function startWeft(
  stage: Stage,
  mode: 'sealed' | 'plain',
  nodeFlags: readonly string[] = [],
): Promise<void> {
  const token = join(stage.folder, 'token');
  const [node = '', ...program] = WEFT;
  const at = (side: Side, flags: readonly string[] = []): string[] => [
    ...[node, ...flags, ...program],
    ...['--state', join(stage.folder, side), '--socket', join(stage.folder, `${side}.sock`)],
  ];
  const who = (side: Side): string[] => [
    ...['--name', side, '--address', `${stage.overlay(side)}/24`],
    ...['--underlay', stage.underlay(side), '--tap', 'weft0'],
  ];
  await stage.runOk('a', [...at('a'), 'init', '--mode', mode, ...who('a')]);
  stage.daemon('a', [...at('a', nodeFlags), 'run']);
  await until('weft on a', { timeoutMs: 15_000 }, async () => {
    await stage.runOk('a', [...at('a'), 'token', 'create', '--out', token]);
    return true;
  });
  stage.daemon('b', [...at('b', nodeFlags), 'up', '--token-file', token, ...who('b')]);
}

async function startNebula(stage: Stage): Promise<void> {
  const cert = programAt('nebula-cert');
  const sign = async (args: readonly string[]): Promise<void> => {
    const command = ['sh', '-c', 'cd "$0" && exec "$@"', stage.folder, cert, ...args];
    expectOk(command, await run(command));
  };
  await sign(['ca', '-name', 'bench']);
  for (const side of SIDES) await sign(['sign', '-name', side, '-ip', `${stage.overlay(side)}/24`]);
  for (const side of SIDES) {
    const far = other(side);
    const anyone = '[{port: any, proto: any, host: any}]';
    const lines = [
      `pki: {ca: ${stage.folder}/ca.crt, cert: ${stage.folder}/${side}.crt, key: ${stage.folder}/${side}.key}`,
      `static_host_map: {"${stage.overlay(far)}": ["${stage.underlay(far)}:4242"]}`,
      `lighthouse: {am_lighthouse: ${side === 'a'}, hosts: [${side === 'a' ? '' : `"${stage.overlay('a')}"`}]}`,
      'listen: {host: 0.0.0.0, port: 4242, batch: 64}',
      'tun: {dev: neb0, mtu: 1300}',
      'cipher: aes',
      `firewall: {outbound: ${anyone}, inbound: ${anyone}}`,
      'logging: {level: error}',
    ];
    const config = join(stage.folder, `${side}.yml`);
    writeFileSync(config, `${lines.join('\n')}\n`);
    stage.daemon(side, [programAt('nebula'), '-config', config]);
  }
  await delay(2000);
}

async function startVpncloud(stage: Stage): Promise<void> {
  for (const side of SIDES) {
    const peer = `${stage.underlay(other(side))}:3210`;
    stage.daemon(side, [
      ...[
        programAt('vpncloud'),
        '--type',
        'tap',
        '--mode',
        'switch',
        '-p',
        'bench',
        '-l',
        '3210',
        '-c',
        peer,
      ],
      ...['-d', 'vpnc0', '--algo', 'AES128', '--no-port-forwarding'],
    ]);
  }
  for (const side of SIDES) await stage.address(side, 'vpnc0', 1400);
}

async function startTinc(stage: Stage): Promise<void> {
  const tincd = programAt('tincd');
  const folderOf = (side: Side): string => join(stage.folder, side);
  for (const side of SIDES) {
    const folder = folderOf(side);
    mkdirSync(join(folder, 'hosts'), { recursive: true });
    const connect = side === 'b' ? 'ConnectTo = a\n' : '';
    writeFileSync(
      join(folder, 'tinc.conf'),
      `Name = ${side}\nMode = switch\nInterface = tinc0\nDeviceType = tap\n${connect}`,
    );
    writeFileSync(
      join(folder, 'hosts', side),
      `Address = ${stage.underlay(side)}\nCipher = aes-256-cbc\nDigest = sha256\n`,
    );
    writeFileSync(join(folder, 'tinc-up'), '#!/bin/sh\n');
    chmodSync(join(folder, 'tinc-up'), 0o755);
    await stage.runOk(side, [tincd, '-c', folder, '-K2048']);
  }
  for (const side of SIDES)
    copyFileSync(join(folderOf(side), 'hosts', side), join(folderOf(other(side)), 'hosts', side));
  for (const side of SIDES) {
    const pidFile = `--pidfile=${join(stage.folder, `${side}.pid`)}`;
    stage.daemon(side, [tincd, '-c', folderOf(side), '-D', pidFile]);
    await stage.address(side, 'tinc0', 1400);
  }
}

/** In the order of the table. */
export const SYSTEMS: readonly System[] = [
  { name: YARDSTICK, crypto: 'none', layer: 2, programs: [], start: startKernelVxlan },
  { name: 'weft', crypto: 'aes-256-gcm', layer: 2, programs: [], start: (s) => startWeft(s, 'sealed') },
  { name: 'weft-plain', crypto: 'none', layer: 2, programs: [], start: (s) => startWeft(s, 'plain') },
  {
    name: 'wireguard-go',
    crypto: 'chacha20-poly1305',
    layer: 3,
    programs: ['wireguard-go'],
    start: startWireguard,
  },
  {
    name: 'nebula',
    crypto: 'aes-256-gcm',
    layer: 3,
    programs: ['nebula', 'nebula-cert'],
    start: startNebula,
  },
  { name: 'vpncloud', crypto: 'aes-128-gcm', layer: 2, programs: ['vpncloud'], start: startVpncloud },
  { name: 'tinc', crypto: 'aes-256-cbc+sha256', layer: 2, programs: ['tincd'], start: startTinc },
];
