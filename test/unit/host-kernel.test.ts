import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Kernel } from '../../agent/host/kernel.ts';
import { readLinks } from '../../agent/host/links.ts';
import { readOffloads, readSrIov } from '../../agent/host/nic.ts';
import { readRights } from '../../agent/host/process-rights.ts';
import { routeTo } from '../../agent/host/routes.ts';
import { probeTun } from '../../agent/host/tun-device.ts';
import { parseUdpSockets, readUdpChecksumErrors } from '../../agent/host/udp-sockets.ts';

/** A kernel out of files; a link is written as `-> target`. */
function withFiles(files: Readonly<Record<string, string>>, use: (kernel: Kernel) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'weft-kernel-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      if (text.startsWith('-> ')) symlinkSync(text.slice(3), join(root, path));
      else writeFileSync(join(root, path), text);
    }
    use(new Kernel({ root }));
  } finally {
    rmSync(root, { recursive: true });
  }
}

const printing = (out: string, status = 0): Kernel =>
  new Kernel({ run: async () => ({ status, out, err: '' }) });
const withoutPrograms = new Kernel({ run: async () => null });

test('a virtual function is told from a physical one and from a card without SR-IOV', () => {
  const device = 'sys/class/net/eth0/device';
  withFiles(
    {
      'sys/devices/pf/net/ens1/mtu': '1500\n',
      [`${device}/physfn`]: '-> ../../../../devices/pf',
      [`${device}/driver`]: '-> ../../../bus/pci/drivers/iavf',
    },
    (kernel) => {
      assert.deepEqual(readSrIov(kernel, 'eth0'), {
        role: 'vf',
        physical: 'ens1',
        functions: 0,
        driver: 'iavf',
      });
      assert.equal(readSrIov(kernel, 'eth1'), null);
    },
  );
  withFiles({ [`${device}/sriov_numvfs`]: '4\n' }, (kernel) =>
    assert.deepEqual(readSrIov(kernel, 'eth0'), { role: 'pf', physical: 'eth0', functions: 4, driver: null }),
  );
  withFiles({ [`${device}/sriov_numvfs`]: '0\n' }, (kernel) => assert.equal(readSrIov(kernel, 'eth0'), null));
});

test('capabilities and checksum errors are read from /proc', () => {
  const snmp =
    'Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts InErrors InCsumErrors\nUdp: 5 6 7 8\nUdpLite: X\nUdpLite: 1\n';
  const thread = (held: string, noNewPrivileges: number): string =>
    `Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t${held}\nCapEff:\t${held}\nCapBnd:\t0000000000201000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t${noNewPrivileges}\n`;
  const main = thread('0000000000001000', 1);
  const files = { 'proc/7/status': main, 'proc/7/task/7/status': main, 'proc/net/snmp': snmp };
  withFiles(files, (kernel) => {
    const rights = { held: new Set(['NET_ADMIN']), others: 0, boundsOthers: 1, noNewPrivileges: true };
    assert.deepEqual(readRights(kernel, 7), rights);
    assert.equal(readRights(kernel, 8), null);
    assert.equal(readUdpChecksumErrors(kernel), 8);
  });
  // One thread that kept what the others gave up is enough.
  withFiles({ ...files, 'proc/7/task/9/status': thread('0000000000201400', 0) }, (kernel) => {
    const rights = readRights(kernel, 7);
    assert.deepEqual(rights?.held, new Set(['NET_BIND_SERVICE', 'NET_ADMIN']));
    assert.deepEqual([rights?.others, rights?.noNewPrivileges], [1, false]);
  });
  withFiles({}, (kernel) => assert.equal(readUdpChecksumErrors(kernel), null));
});

test('sockets are read with buffers, drops and programs, on one line or two', () => {
  const text = [
    'UNCONN 0      0      192.0.2.1:7947 0.0.0.0:* users:(("node",pid=12,fd=25))',
    '\t skmem:(r0,rb16777216,t0,tb8388608,f0,w0,o0,bl0,d17)',
    'UNCONN 0      0      [fe80::1]%eth0:546 [::]:* skmem:(r0,rb212992,t0,tb212992,f0,w0,o0,bl0,d0)',
    'UNCONN 0      0      *:53 *:*',
    '\t skmem:(r0,rb2,t0,tb2,f0,w0,o0,bl0,d0)',
    '',
  ].join('\n');
  assert.deepEqual(
    parseUdpSockets(text).map(({ ip, port, receiveBufferBytes, drops, program, pid }) => [
      ip,
      port,
      receiveBufferBytes,
      drops,
      program,
      pid,
    ]),
    [
      ['192.0.2.1', 7947, 8_388_608, 17, 'node', 12],
      ['fe80::1', 546, 106_496, 0, null, null],
      ['*', 53, 1, 0, null, null],
    ],
  );
});

test('devices, routes and offloads are read from what the programs print', async () => {
  const [device] = (await readLinks(
    printing(
      JSON.stringify([
        {},
        {
          ifindex: 4,
          ifname: 'vx0',
          flags: ['BROADCAST', 'UP', 'LOWER_UP'],
          mtu: 1450,
          link_type: 'ether',
          address: '02:00:00:00:00:03',
          master: 'br0',
          link: 'eth0',
          linkinfo: { info_kind: 'vxlan', info_data: { id: 42, remote: '192.0.2.9' } },
          addr_info: [{ local: '10.0.0.1', prefixlen: 24, scope: 'global' }],
        },
      ]),
    ),
  )) ?? [undefined];
  assert.deepEqual(
    [
      device?.kind,
      device?.vni,
      device?.remotes,
      device?.master,
      device?.lower,
      device?.up,
      device?.addresses[0]?.ip,
    ],
    ['vxlan', 42, ['192.0.2.9'], 'br0', 'eth0', true, '10.0.0.1'],
  );
  const route = [{ dst: '192.0.2.9', dev: 'eth0', prefsrc: '192.0.2.1', metrics: [{ mtu: 1400 }] }];
  assert.deepEqual(await routeTo(printing(JSON.stringify(route)), '192.0.2.9'), {
    device: 'eth0',
    source: '192.0.2.1',
    gateway: null,
    mtuBytes: 1400,
  });
  const offloads = await readOffloads(
    printing('Features for eth0:\n\ttx-checksum-ipv4: off [fixed]\ngeneric-receive-offload: on\n'),
    'eth0',
  );
  assert.deepEqual(
    [...(offloads ?? [])],
    [
      ['tx-checksum-ipv4', false],
      ['generic-receive-offload', true],
    ],
  );
});

test('a missing program, a failing one and one that prints nonsense are all null', async () => {
  for (const kernel of [withoutPrograms, printing('', 1), printing('not json')]) {
    assert.equal(await readLinks(kernel), null);
    assert.equal(await routeTo(kernel, '192.0.2.9'), null);
  }
  assert.equal(await readOffloads(withoutPrograms, 'eth0'), null);
  assert.equal(await new Kernel().run(['weft-no-such-program']), null);
  assert.equal((await new Kernel().run(['sh', '-c', 'exit 7']))?.status, 7);
});

test('a TUN device that is not there is told from one that is no device', () => {
  assert.equal(probeTun('/nonexistent/tun'), 'missing');
  assert.equal(probeTun('/proc/self'), 'no-driver');
});
