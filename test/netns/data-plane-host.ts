/**
 * Far end of a helper process inside a namespace, started by data-plane.test.ts: a TAP and the data path with keys that the
 * test gives it, and no control plane.
 */
import { configureInterface, openTap, openUdp, TUN_F, TUN_F_TSO, TUN_F_USO } from 'tun-tap';
import { systemClock } from '../../agent/clock.ts';
import { DataPlane } from '../../agent/datapath/data-plane.ts';
import { SpareWorkers } from '../../agent/datapath/spare-workers.ts';
import { ip } from '../../agent/lab/command.ts';
import { serveProbe } from '../../agent/lab/probe-server.ts';

export interface DataPlaneEnd {
  readonly mode: 'sealed' | 'plain';
  readonly encap: 'vxlan' | 'geneve';
  readonly mtuBytes: number;
  /** One thread for both directions; unless said a pair. */
  readonly single?: boolean;
  /** Underlay address of this end and of the other. */
  readonly local: string;
  readonly remote: string;
  readonly overlay: string;
  readonly mac: Uint8Array;
  readonly remoteMac: Uint8Array;
  /** Of the direction that this end sends in, and of the one it receives in; 32 bytes. */
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
}

export interface Collections {
  readonly transmit: number;
  readonly receive: number;
}

const SLOT = 3;
const VNI = 42;
const INDEX = 0x1230;
const SUITE = 2;
const SEALED_PORT = 7947;
const TAP = 'weft0';
const DUPLICATES = { duplicateMoves: 5, duplicateWindowSec: 180, duplicateFreezeSec: 1800 } as const;

let plane: DataPlane | null = null;

async function start(end: DataPlaneEnd): Promise<void> {
  const tap = openTap(TAP, { multiQueue: true, offloads: TUN_F.CSUM | TUN_F_TSO | TUN_F_USO });
  configureInterface(TAP, { mac: end.mac, mtu: end.mtuBytes, up: true });
  await ip(['address', 'add', end.overlay, 'dev', TAP]);
  const sealed = openUdp({ address: end.local, port: SEALED_PORT, join: true });
  const port = end.encap === 'vxlan' ? 4789 : 6081;
  const plain = end.mode === 'plain' ? openUdp({ address: end.local, port, join: true }) : null;
  const started = await DataPlane.start({
    spare: new SpareWorkers(),
    single: end.single ?? false,
    tapFds: [tap.fd],
    sealedFds: [sealed.fd],
    plainFds: plain === null ? [] : [plain.fd],
    sendFds: plain === null ? [] : [plain.fd],
    segmenting: true,
    joining: true,
    fdb: { limit: 8192, perPeerLimit: 1024, ageingSec: 300, ...DUPLICATES },
    clock: systemClock,
    onFailure: (error) => {
      throw error;
    },
  });
  const { mode, encap, mtuBytes, mac } = end;
  started.setSegment({ vni: VNI, encap, mode, mtuBytes, ownMac: mac });
  if (mode === 'sealed') await installKeys(started, end);
  await started.setMember(SLOT, {
    vnis: [VNI],
    bridge: true,
    macs: [{ vni: VNI, mac: end.remoteMac }],
    plain: mode === 'plain' ? { ip: end.remote, port } : null,
  });
  plane = started;
}

async function installKeys(started: DataPlane, end: DataPlaneEnd): Promise<void> {
  const inner = end.encap === 'vxlan' ? 1 : 2;
  const laneKeys = new Uint8Array(16 * 32);
  laneKeys.set(end.receiveKey);
  await started.installReceive({ index: INDEX, suite: SUITE, inner, laneKeys, lanes: 1, slot: SLOT });
  await started.setEndpoint(SLOT, { ip: end.remote, port: SEALED_PORT });
  await started.installTransmit({
    slot: SLOT,
    lane: 0,
    index: INDEX,
    suite: SUITE,
    inner,
    key: end.sendKey,
    flags: 1,
  });
}

serveProbe({
  start,
  /** Collections in each worker while watched. */
  watch: ({ seconds, deliberate }: { readonly seconds: number; readonly deliberate: boolean }) =>
    plane?.watchGc(seconds, deliberate),
  drops: () => plane?.drops().filter(({ count }) => count > 0),
});
