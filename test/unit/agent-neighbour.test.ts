import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arpAnswer } from '../../agent/agent-neighbour.ts';

const own = { mac: Uint8Array.from([2, 0, 0, 0, 0, 1]), address: '10.80.0.1/24' };
const peer = { mac: Uint8Array.from([2, 0, 0, 0, 0, 2]), address: '10.80.0.2/24' };

test('the answer is that of RFC 826: from the peer, to this host, byte by byte', () => {
  assert.equal(
    Buffer.from(arpAnswer(own, peer) ?? []).toString('hex'),
    '020000000001' +
      '020000000002' +
      '0806' +
      '0001080006040002' +
      '020000000002' +
      '0a500002' +
      '020000000001' +
      '0a500001',
  );
});

test('IPv6 addresses have no ARP', () => {
  assert.equal(arpAnswer(own, { ...peer, address: 'fd00::2/64' }), null);
  assert.equal(arpAnswer({ ...own, address: 'fd00::1/64' }, peer), null);
});
