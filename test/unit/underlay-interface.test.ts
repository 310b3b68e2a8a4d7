/** Which interface leads to an address, as the kernel of the machine under test has it. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { interfaceMtu } from 'tun-tap';
import { tunnelKind, underlayInterface } from '../../agent/peer/underlay-interface.ts';

test('addresses of this very machine are reached over loopback, with its MTU', () => {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  for (const ip of [
    '127.0.0.1',
    '127.9.9.9',
    ...own.filter((a) => a.family === 'IPv4').map((a) => a.address),
  ])
    assert.deepEqual(underlayInterface(ip), { name: 'lo', mtuBytes: interfaceMtu('lo') });
});

test('another address is reached over an interface that has the source address, or over none that is known', () => {
  const found = underlayInterface('192.0.2.1');
  if (found === null) return assert.equal(found, null);
  assert.notEqual(found.name, 'lo');
  assert.equal(found.mtuBytes, interfaceMtu(found.name));
});

test('what is no address has no interface', () => {
  assert.equal(underlayInterface('host.example'), null);
  assert.equal(underlayInterface(''), null);
});

test('loopback is no tunnel, and neither is an interface that does not exist', () => {
  assert.equal(tunnelKind('lo'), null);
  assert.equal(tunnelKind('no-such-device'), null);
});
