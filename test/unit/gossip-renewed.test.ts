/** A host that was off while a member got another certificate learns of both, record and certificate, when it is back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RecordVerifier, Swim, type SwimOutput, type VerifiedRecord } from '../../gossip/index.ts';
import { Disk, idOf, makeRecord, SeededRng, sealerOf, verifier } from '../sim/cheap-parts.ts';

/** The last byte of a record names the certificate that it goes with, by that one's last byte. */
const certificateOf = (bytes: Uint8Array | undefined): number | undefined => bytes?.at(-1);

const withCertificate = (record: VerifiedRecord, number: number): VerifiedRecord => {
  const bytes = record.bytes.slice();
  const credential = record.credential.slice();
  bytes[bytes.length - 1] = number;
  credential[credential.length - 1] = number;
  return { ...record, bytes, credential };
};

const pairing: RecordVerifier = {
  ...verifier,
  verify(bytes, credential) {
    const fits = certificateOf(bytes) === certificateOf(credential);
    const record = fits ? verifier.verify(bytes, credential) : null;
    return record === null ? null : { ...record, bytes, credential };
  },
};

const HOSTS = 3;
const addressOf = (n: number) => makeRecord(idOf(n), 1, 0).address;

/** Hosts that know each other, in virtual time. */
class Hosts {
  readonly disks = Array.from({ length: HOSTS }, (_, n) => new Disk(n));
  readonly swims: (Swim | null)[] = [];
  /** Of each host: the certificate that it states itself with. */
  readonly certificates = Array.from({ length: HOSTS }, () => 0);
  #nowMs = 0;

  constructor() {
    for (const disk of this.disks) disk.incarnation = 1;
    const all = this.disks.map(({ id }) => makeRecord(id, 1, 0));
    for (const disk of this.disks)
      disk.saved = all.map(({ bytes, credential }) => ({ record: bytes, credential }));
    for (const n of this.disks.keys()) this.start(n);
  }

  start(n: number): void {
    const disk = this.disks[n];
    assert.ok(disk);
    const own = (raiseAbove: number | null): VerifiedRecord =>
      withCertificate(disk.record('alive', raiseAbove), this.certificates[n] ?? 0);
    const signer = { ...disk.signer(), ownRecord: (_: 'alive' | 'left', above: number | null) => own(above) };
    const parts = { sealer: sealerOf(disk.id), verifier: pairing, signer, persistence: disk, contacts: [] };
    this.swims[n] = new Swim({ ...parts, own: own(null), rng: new SeededRng(n + 1) }, this.#nowMs);
  }

  deliver(from: number, outputs: readonly SwimOutput[]): void {
    const source = addressOf(from);
    for (const o of outputs) {
      if (o.type !== 'send' || source === null) continue;
      const to = this.disks.findIndex((_, n) => addressOf(n)?.ip === o.to.ip);
      this.deliver(to, this.swims[to]?.datagram(this.#nowMs, o.bytes, source) ?? []);
    }
  }

  run(ms: number): void {
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs; this.#nowMs += 100)
      for (const [n, swim] of this.swims.entries()) this.deliver(n, swim?.tick(this.#nowMs) ?? []);
  }
}

test('a host that was off while a member was certified anew knows record and certificate 3 s after its return', () => {
  const hosts = new Hosts();
  const [returning, renewed] = [0, 1];
  const numbers = (n: number): (number | undefined)[] => {
    const record = hosts.swims[n]?.member(idOf(renewed))?.record;
    return [record?.seq, certificateOf(record?.credential)];
  };
  hosts.run(10_000);
  const before = numbers(returning);
  hosts.swims[returning] = null;
  hosts.certificates[renewed] = 7;
  hosts.deliver(renewed, hosts.swims[renewed]?.restate() ?? []);
  hosts.run(4000);
  assert.equal(numbers(2)[1], 7, 'who was there knows it');
  hosts.start(returning);
  assert.deepEqual(numbers(returning), before, 'what its disk says');
  hosts.run(3000);
  assert.deepEqual(numbers(returning), numbers(2));
});
