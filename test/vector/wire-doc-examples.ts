/** Every example of docs/WIRE.md by its name, as the project's own code makes it from fixed keys. */
import { encodeMessage } from '../../gossip/codec.ts';
import * as gossip from './wire-doc-gossip.ts';
import { alpha, alphaMac, beta, meshId } from './wire-doc-material.ts';
import * as records from './wire-doc-records.ts';
import * as session from './wire-doc-session.ts';

export const EXAMPLES: Readonly<Record<string, Uint8Array>> = {
  vxlan: session.vxlan,
  geneve: session.geneve,
  'geneve-option': session.geneveOption,
  'geneve-critical': session.geneveCritical,
  'lane-0-key': session.dataLaneKey,
  'lane-15-key': session.controlLaneKey,
  'sealed-frame': session.sealedFrame,
  'control-keepalive': session.keepalive,
  'control-probe': session.probe,
  'control-probe-ack': session.probeAck,
  'control-challenge': session.challenge,
  'sealed-keepalive': session.sealedKeepalive,
  'handshake-1': session.msg1,
  'handshake-2': session.msg2,
  'cookie-reply': session.cookieReply,
  reset: session.reset,
  'mesh-id': meshId,
  'alpha-id': alpha.id,
  'beta-id': beta.id,
  'alpha-mac': alphaMac,
  policy: records.policyBytes,
  'policy-recovered': records.recoveredBytes,
  'token-cert': records.tokenCert,
  'admitter-cert': records.admitterCert,
  'node-cert': records.nodeCert,
  'node-request': records.nodeRequest,
  'node-state': records.nodeState,
  'grant-end': records.grantEnd,
  refused: records.refused,
  suspicion: gossip.suspicion,
  'gossip-box': gossip.box,
  ...Object.fromEntries(
    Object.entries(gossip.MESSAGES).map(([name, message]) => [`gossip-${name}`, encodeMessage(message)]),
  ),
  intro: gossip.intro,
};

const LINE = 32;

/** As it stands in the document: spaced hex, 16 bytes a line, 32 where it is long. */
export function formatHex(bytes: Uint8Array): string {
  const perLine = bytes.length > 4 * LINE ? LINE : LINE / 2;
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += perLine) {
    const hex = Buffer.from(bytes.subarray(at, at + perLine)).toString('hex');
    lines.push(hex.replace(/(..)(?=.)/g, '$1 '));
  }
  return lines.join('\n');
}

/** The token's text, cut to the width of the document. */
export const formatToken = (text: string): string => text.replace(/(.{96})(?=.)/g, '$1\n');
