/**
 * Runs of datagrams as one message: they arrive as they would have one by one, and a socket on which the kernel refuses
 * UDP_SEGMENT loses nothing. The refusal is real: a socket without checksums (SO_NO_CHECK) gets EINVAL; python3 makes it
 * and hands its descriptor down to segmenting-refused.ts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closeFd, openUdp } from 'tun-tap';
import { arriving, LENGTHS, PlainRun } from './plain-run.ts';

for (const segmenting of [true, false]) {
  for (const joining of [true, false]) {
    test(`every run arrives in order, segmenting ${segmenting}, joining ${joining}`, () => {
      const inbox = openUdp({ address: '127.0.0.1', port: 0, join: joining });
      const outbox = openUdp({ address: '127.0.0.1', port: 0 });
      try {
        assert.equal(inbox.joins, joining);
        assert.equal(outbox.segments, true);
        const run = new PlainRun(outbox.fd, inbox.port);
        run.transmitter.setSegmenting(segmenting);
        for (const lengths of LENGTHS) {
          const sent = run.send(lengths);
          assert.deepEqual(arriving(inbox.fd, lengths.length), sent, lengths.join(' '));
        }
        assert.equal(run.transmitter.segmentingRefused, 0);
      } finally {
        closeFd(inbox.fd);
        closeFd(outbox.fd);
      }
    });
  }
}

test('where the kernel refuses runs, they leave one by one, and that socket asks no more', () => {
  const child = join(dirname(fileURLToPath(import.meta.url)), 'segmenting-refused.js');
  const noChecksums = [
    'import os, socket, sys',
    's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
    's.setsockopt(socket.SOL_SOCKET, 11, 1)', // SO_NO_CHECK
    's.bind(("127.0.0.1", 0))',
    'os.set_inheritable(s.fileno(), True)',
    'os.execv(sys.argv[1], [sys.argv[1], sys.argv[2], str(s.fileno())])',
  ].join('\n');
  const ended = spawnSync('python3', ['-c', noChecksums, process.execPath, child], { encoding: 'utf8' });
  assert.equal(ended.status, 0, ended.stderr);
  assert.match(ended.stdout, /refused once, nothing lost/);
});
