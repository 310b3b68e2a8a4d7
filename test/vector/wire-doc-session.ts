/** Encapsulations, sealed datagrams, lane 15 and the handshake of docs/WIRE.md, made by the project's own code. */
import { OpeningKey, SealingKey } from 'tun-tap';
import { encodeGeneve, GENEVE_HEADER_BYTES } from '../../agent/datapath/geneve.ts';
import { encodeVxlan, VXLAN_HEADER_BYTES } from '../../agent/datapath/vxlan.ts';
import { utf8 } from '../../agent/identity/sodium.ts';
import { CONTROL, encodeControl, encodeProbeAck } from '../../agent/session/control.ts';
import { CookieJar, MacKeys } from '../../agent/session/cookie.ts';
import { controlIndex, laneKey } from '../../agent/session/keys.ts';
import {
  encodeHandshake,
  encodeReset,
  INIT_PAYLOAD,
  initHeader,
  macFields,
  RESPONSE_PAYLOAD,
  responseHeader,
} from '../../agent/session/messages.ts';
import { Handshake } from '../../agent/session/noise.ts';
import { encodePayload, PAYLOAD_KIND } from '../../agent/session/payload.ts';
import { resetToken } from '../../agent/session/resets.ts';
import {
  alpha,
  beta,
  concatBytes,
  FRAME,
  fixedRng,
  meshId,
  psk,
  secret,
  some,
  VNI,
  type WireNode,
} from './wire-doc-material.ts';
import { admitterCert, nodeCert, policy } from './wire-doc-records.ts';

function encapsulated(encode: (bytes: Uint8Array, at: number, vni: number) => void, header: number) {
  const bytes = new Uint8Array(header + FRAME.length);
  encode(bytes, 0, VNI);
  bytes.set(FRAME, header);
  return bytes;
}

export const vxlan = encapsulated(encodeVxlan, VXLAN_HEADER_BYTES);
export const geneve = encapsulated(encodeGeneve, GENEVE_HEADER_BYTES);
/** One option of class 0xFF57, type 1, four bytes of data; its twin has the critical bit. */
export const geneveOption = concatBytes(
  Uint8Array.from([0x02, 0x00, 0x65, 0x58, 0, 0, VNI, 0, 0xff, 0x57, 0x01, 0x01, 1, 2, 3, 4]),
  FRAME,
);
export const geneveCritical = geneveOption.map((byte, i) => (i === 1 ? 0x40 : i === 10 ? 0x81 : byte));

export const SUITE = 2;
export const direction = secret('direction');
export const dataLaneKey = laneKey(direction, SUITE, 0);
export const controlLaneKey = laneKey(direction, SUITE, 15);
export const baseIndex = 0xc0ffee10;
export const COUNTER = 7;
const FLAG_M = 1;

/** The 16 bytes before the ciphertext, which are its associated data. */
export function sealedHeader(inner: number, index: number, counter: number): Uint8Array {
  const bytes = Uint8Array.from([4, SUITE, inner, FLAG_M, ...new Uint8Array(12)]);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, index);
  view.setUint32(12, counter);
  return bytes;
}

function seal(inner: number, index: number, key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const header = sealedHeader(inner, index, COUNTER);
  return concatBytes(header, new SealingKey(SUITE, key).seal(COUNTER, header, plaintext));
}

export function open(datagram: Uint8Array, key: Uint8Array): Uint8Array | null {
  const header = datagram.slice(0, 16);
  const counter = new DataView(datagram.buffer, datagram.byteOffset).getUint32(12);
  return new OpeningKey(SUITE, key).open(counter, header, datagram.slice(16));
}

export const sealedFrame = seal(1, baseIndex, dataLaneKey, vxlan);
export const keepalive = encodeControl(CONTROL.keepalive, new Uint8Array(0));
export const sealedKeepalive = seal(0, controlIndex(baseIndex), controlLaneKey, keepalive);
export const probe = encodeControl(CONTROL.probe, some('probe', 8));
export const probeAck = encodeControl(
  CONTROL.probeAck,
  encodeProbeAck(some('probe', 8), 64, { ip: '192.0.2.11', port: 7947 }),
);
export const challenge = encodeControl(CONTROL.challenge, some('challenge', 8));

/** beta begins, alpha answers. */
export const initiatorIndex = 0x1badb000;
export const responderIndex = 0x5eed0030;

export function handshakeOf(own: WireNode, initiator: boolean): Handshake {
  return new Handshake({
    pattern: 'IKpsk2',
    initiator,
    prologue: concatBytes(utf8('weft1'), meshId, Uint8Array.of(SUITE), alpha.sign.publicKey),
    staticKeys: own.dh,
    ephemeralSk: secret(`${own.name} ephemeral`),
    ...(initiator ? { remoteStatic: alpha.dh.publicKey } : {}),
    psk,
  });
}

function payloadOf(own: WireNode, index: number, certificates: readonly Uint8Array[], size: number) {
  return encodePayload(
    {
      kind: PAYLOAD_KIND.member,
      incarnation: own === beta ? 3 : 9,
      counter: 1,
      policySeq: policy.seq,
      policyId: policy.id.slice(0, 16),
      revocationDigest: new Uint8Array(16),
      resetToken: resetToken(secret(`${own.name} reset`), index),
      certificates,
    },
    size,
  );
}

export const initPayload = payloadOf(beta, initiatorIndex, [nodeCert, admitterCert], INIT_PAYLOAD);

function makeHandshake() {
  const initiator = handshakeOf(beta, true);
  const responder = handshakeOf(alpha, false);
  const header1 = initHeader(initiatorIndex);
  const noise1 = initiator.write(initPayload, header1);
  if (noise1 === null) throw new Error('no first message');
  const msg1 = encodeHandshake(header1, noise1);
  new MacKeys(psk, alpha.dh.publicKey).stamp(msg1, null);
  responder.read(noise1, header1);
  const header2 = responseHeader(responderIndex, initiatorIndex);
  const noise2 = responder.write(
    payloadOf(alpha, responderIndex, [admitterCert, admitterCert], RESPONSE_PAYLOAD),
    header2,
  );
  if (noise2 === null) throw new Error('no second message');
  const msg2 = encodeHandshake(header2, noise2);
  new MacKeys(psk, beta.dh.publicKey).stamp(msg2, null);
  return { msg1, msg2 };
}

export const { msg1, msg2 } = makeHandshake();

export const FROM = { ip: '192.0.2.11', port: 7947 };
export const cookie = new CookieJar(fixedRng('cookie secret')).cookieFor(0, FROM);
export const cookieReply = new MacKeys(psk, alpha.dh.publicKey).sealCookie(
  msg1,
  initiatorIndex,
  cookie,
  fixedRng('cookie nonce'),
);
export const mac1OfMsg1 = macFields(msg1).mac1;
export const reset = encodeReset({
  index: responderIndex,
  token: resetToken(secret('alpha reset'), responderIndex),
});
