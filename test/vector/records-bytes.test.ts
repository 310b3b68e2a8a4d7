/**
 * The signed records against bytes put together by hand from the layouts, and against the Ed25519 of OpenSSL, which
 * shares nothing with libsodium.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { derivedMac } from '../../agent/identity/derived-mac.ts';
import { parseNodeCert, signNodeCert } from '../../agent/identity/node-cert.ts';
import { parseNodeRequest, signNodeRequest } from '../../agent/identity/node-request.ts';
import { parseNodeState, signNodeState } from '../../agent/identity/node-state.ts';
import { meshIdOf, parsePolicy, signPolicy } from '../../agent/identity/policy.ts';
import { announcedLength } from '../../agent/identity/record.ts';
import { hash, signingKeyPair, sodiumReady, toHex } from '../../agent/identity/sodium.ts';
import { parseSuspicion, signSuspicion } from '../../agent/identity/suspicion.ts';

await sodiumReady;

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const fill = (byte: number, size: number): Uint8Array => new Uint8Array(size).fill(byte);

const MESH = fill(0xee, 32);
const keys = signingKeyPair(fill(0x11, 32));
const token = signingKeyPair(fill(0x22, 32));
/** SubjectPublicKeyInfo of Ed25519 before the 32 bytes of the key. */
const SPKI = hex('30 2a 30 05 06 03 2b 65 70 03 21 00');

function opensslVerifies(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}

/** Header and body are those bytes, and the signature is over the type's name, the mesh, and them. */
function isRecord(bytes: Uint8Array, typeName: string, headerAndBody: string): void {
  const expected = hex(headerAndBody);
  assert.equal(toHex(bytes.slice(0, -64)), toHex(expected));
  const signed = Buffer.concat([Buffer.from(`weft/v1/${typeName}\0`), MESH, expected]);
  assert.ok(opensslVerifies(keys.publicKey, signed, bytes.slice(-64)));
  assert.equal(announcedLength(bytes), bytes.length);
}

const PK = '11'.repeat(32);

test('a node certificate of every field', () => {
  const bytes = signNodeCert(
    {
      signPk: fill(0x11, 32),
      dhPk: fill(0x12, 32),
      name: 'beta',
      caps: 4,
      tokenId: fill(0x13, 16),
      slot: 2,
      issuerId: fill(0x14, 16),
      requestId: fill(0x15, 16),
      notBeforeMs: 1_800_000_000_000,
      expiresMs: 1_802_592_000_000,
      generation: 1,
      vnis: [42],
      addresses: [
        { vni: 42, prefix: { ip: '10.80.0.2', length: 24 } },
        { vni: 42, prefix: { ip: 'fd00::2', length: 64 } },
      ],
    },
    MESH,
    keys.secretKey,
  );
  isRecord(
    bytes,
    'NodeCert',
    `4c 01 04 00 00 bf
     ${PK} ${'12'.repeat(32)}
     04 62 65 74 61
     00 04
     ${'13'.repeat(16)} 00 00 00 02
     ${'14'.repeat(16)} ${'15'.repeat(16)}
     00 00 01 a3 18 5c 50 00
     00 00 01 a3 b2 db 18 00
     00 00 00 01
     01 00 00 00 2a
     02
     00 00 00 2a 00 00 00 00 00 00 00 00 00 00 ff ff 0a 50 00 02 18
     00 00 00 2a fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 40`,
  );
  const read = parseNodeCert(bytes, MESH);
  assert.deepEqual(read?.nodeId, hash(fill(0x11, 32), fill(0x12, 32)));
  const tbs = Buffer.concat([Buffer.from('weft/v1/NodeCert\0'), MESH, bytes.slice(0, -64)]);
  assert.deepEqual(read?.record.id, hash(tbs));
});

test('a node state', () => {
  const bytes = signNodeState(
    {
      nodeId: fill(1, 32),
      certId: fill(2, 16),
      incarnation: 2 ** 53 - 1,
      seq: 7,
      status: 'left',
      policySeq: 1,
      revocationDigest: fill(3, 16),
      validUntilMs: 1_800_000_000_000,
      endpoints: [{ ip: '192.0.2.10', sealedPort: 7947, gossipPort: 7946 }],
    },
    MESH,
    keys.secretKey,
  );
  isRecord(
    bytes,
    'NodeState',
    `4c 01 06 00 00 72
     ${'01'.repeat(32)} ${'02'.repeat(16)}
     00 1f ff ff ff ff ff ff
     00 00 00 07
     02
     00 00 00 00 00 00 00 01
     ${'03'.repeat(16)}
     00 00 01 a3 18 5c 50 00
     01 00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 0a 1f 0b 1f 0a`,
  );
  assert.equal(parseNodeState(bytes, MESH)?.status, 'left');
});

test('a policy', () => {
  const bytes = signPolicy(
    {
      seq: 1,
      prevId: fill(0, 32),
      meshName: 'weft',
      rootNonce: fill(9, 16),
      timeMs: 1_800_000_000_000,
      nodeLifeSec: 2_592_000,
      leewaySec: 600,
      roots: [keys.publicKey],
      recovery: [],
      adopted: [],
      segments: [
        {
          vni: 42,
          mode: 'plain',
          encap: 'geneve',
          suite: 2,
          mtuBytes: 1390,
          prefix: { ip: '10.80.0.1', length: 24 },
        },
      ],
    },
    MESH,
    keys.secretKey,
  );
  isRecord(
    bytes,
    'Policy',
    `4c 01 01 00 00 87
     00 00 00 00 00 00 00 01 ${'00'.repeat(32)}
     04 77 65 66 74 ${'09'.repeat(16)}
     00 00 01 a3 18 5c 50 00
     00 27 8d 00
     02 58
     01 ${toHex(keys.publicKey)}
     01 00 00 00 2a 02 02 02 05 6e 00 00 00 00 00 00 00 00 00 00 ff ff 0a 50 00 01 18`,
  );
  assert.equal(parsePolicy(bytes, MESH)?.segments[0]?.mode, 'plain');
});

test('a suspicion', () => {
  const bytes = signSuspicion(
    { accuserId: fill(1, 32), targetId: fill(2, 32), targetIncarnation: 258 },
    MESH,
    keys.secretKey,
  );
  isRecord(
    bytes,
    'Suspicion',
    `4c 01 08 00 00 48 ${'01'.repeat(32)} ${'02'.repeat(32)} 00 00 00 00 00 00 01 02`,
  );
  assert.equal(parseSuspicion(bytes, MESH)?.targetIncarnation, 258);
});

test('a node request carries two signatures, the inner one over the body before it', () => {
  const bytes = signNodeRequest(
    {
      tokenId: fill(1, 16),
      signPk: keys.publicKey,
      dhPk: fill(3, 32),
      name: 'b',
      vnis: [42],
      caps: 0,
      addresses: [],
      nonce: fill(4, 16),
    },
    MESH,
    token.secretKey,
    keys.secretKey,
  );
  const body = `${'01'.repeat(16)} ${toHex(keys.publicKey)} ${'03'.repeat(32)} 01 62 01 00 00 00 2a 00 00 00 ${'04'.repeat(16)} 00 00`;
  const inner = bytes.slice(-128, -64);
  isRecord(bytes, 'NodeRequest', `4c 01 03 00 00 ac ${body} ${toHex(inner)}`);
  const tokenSigned = Buffer.concat([Buffer.from('weft/v1/NodeRequestToken\0'), MESH, hex(body)]);
  assert.ok(opensslVerifies(token.publicKey, tokenSigned, inner));
  const id = hash(MESH, hex('4c 01 03 00 00 ac'), hex(body));
  assert.deepEqual(parseNodeRequest(bytes, MESH)?.id, id);
});

test('ids and addresses that are made by hashing', () => {
  assert.equal(
    toHex(hash(new Uint8Array(0))),
    '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8',
  );
  assert.deepEqual(meshIdOf(fill(1, 32), fill(2, 16)), hash(Buffer.concat([fill(1, 32), fill(2, 16)])));
  const whole = hash(Buffer.concat([Buffer.from('weft1 mac'), fill(7, 32), hex('00 00 00 2a')]));
  const mac = derivedMac(fill(7, 32), 42);
  assert.equal(mac[0], ((whole[0] ?? 0) & 0xfc) | 2);
  assert.deepEqual(mac.slice(1), whole.slice(1, 6));
});
