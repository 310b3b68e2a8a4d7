/** docs/OPERATIONS.md, typed: endpoints that are no agents, a kernel vxlan device for two hosts, and Open vSwitch. */
import { ip } from '../../../agent/lab/command.ts';
import { linked } from './install-chapter.ts';
import { type PlainPlace, pingAnswers } from './readme-chapters.ts';
import { MACHINES } from './site.ts';
import type { Walk } from './walk.ts';

export async function plainMachines(walk: Walk): Promise<PlainPlace> {
  const { alpha, beta, stranger } = MACHINES;
  const place = await walk.machines({ alpha, beta, stranger });
  for (const host of [place.at.alpha, place.at.beta]) await linked(host);
  return place;
}

/** Goes on from the README's chapter: a second weft host, and the device again, with the FDB form. */
export async function twoHostsAndKernel({ at: { alpha, beta, stranger } }: PlainPlace): Promise<void> {
  await alpha.machine.ok('weft token create --out /root/token');
  await beta.machine.write('/root/token', await alpha.machine.read('/root/token'));
  await beta.machine.leave('weft up --token-file /root/token --name beta &');
  await beta.machine.ready();
  await beta.types('weft vtep add 192.0.2.20', /192\.0\.2\.20/);
  await beta.types('weft vtep list', /^192\.0\.2\.20/m);
  await stranger.machine.ok('ip link delete vx0');
  await stranger.types('ip link add vx0 mtu 1422 type vxlan id 42 local 192.0.2.20 dstport 4789', /^$/);
  await stranger.types('bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.10', /^$/);
  await stranger.types('bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.11', /^$/);
  await stranger.types('ip link set vx0 up', /^$/);
  await stranger.machine.ok('ip address add 10.80.0.20/24 dev vx0');
  await pingAnswers(stranger, 'ping 10.80.0.1');
  await pingAnswers(stranger, 'ping 10.80.0.2');
  await alpha.machine.ok('ping -c 2 -i 0.2 -W 2 10.80.0.2');
  await beta.types('weft vtep remove 192.0.2.20', /192\.0\.2\.20/);
  await beta.types('weft vtep list', /no |none|^$/);
}

/** Open vSwitch of the stranger alone: its bridge br0, and its underlay address on br-phy. */
const OVS = `set -e
mkdir -p /run/openvswitch /var/log/openvswitch
ovsdb-tool create /run/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /run/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --detach --pidfile
ovs-vsctl --no-wait init
ovs-vswitchd --detach --pidfile
ovs-vsctl add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy eth0
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev
ip address flush dev eth0
ip address add 192.0.2.20/24 dev br-phy
ip link set br-phy up
ip address add 10.80.0.20/24 dev br0
ip link set br0 mtu 1422 up`;

export async function openVswitch(walk: Walk): Promise<void> {
  const { alpha: first, stranger: other } = MACHINES;
  const { site, at } = await walk.machines({ alpha: first, stranger: other });
  const { alpha, stranger } = at;
  await linked(alpha);
  // Userspace OVS takes frames as they are on the wire: the switch's end finishes checksums and cuts super-frames, as a real
  // cable would force it to.
  const offloads = ['ethtool', '-K', site.port('stranger'), 'tx', 'off', 'gso', 'off', 'tso', 'off'];
  await ip(['netns', 'exec', site.switchboard, ...offloads]);
  await stranger.machine.ok(OVS);
  const init = 'weft init --mode plain --encap geneve --vni 42 --name alpha --address 10.80.0.1/24';
  await alpha.types(init, /mesh/);
  await alpha.types('weft run &', /^$/);
  await alpha.machine.ready();
  await alpha.types('weft vtep add 192.0.2.20', /192\.0\.2\.20/);
  await stranger.types(
    'ovs-vsctl add-port br0 gnv0 -- set interface gnv0 type=geneve options:remote_ip=192.0.2.10 options:key=42',
    /^$/,
  );
  await pingAnswers(stranger, 'ping 10.80.0.1');
}
