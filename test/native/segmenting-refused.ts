/** Child of segmenting.test.ts: sends runs from the socket that it was given, on which the kernel refuses UDP_SEGMENT. */
import assert from 'node:assert/strict';
import { openUdp } from 'tun-tap';
import { arriving, LENGTHS, PlainRun } from './plain-run.ts';

const inbox = openUdp({ address: '127.0.0.1', port: 0 });
const run = new PlainRun(Number(process.argv[2]), inbox.port);
for (const lengths of LENGTHS) {
  const sent = run.send(lengths);
  assert.deepEqual(arriving(inbox.fd, lengths.length), sent, lengths.join(' '));
}
assert.equal(run.transmitter.segmentingRefused, 1);
process.stdout.write('refused once, nothing lost\n');
