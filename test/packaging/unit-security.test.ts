/**
 * The systemd unit as systemd itself judges it: exposure at most 2.0, and no capability but CAP_NET_ADMIN. Offline: the
 * unit is read, never started.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const UNIT = 'docker/systemd/weft.service';
const MAX_EXPOSURE = 2.0;

test('the unit leaves an exposure of at most 2.0', () => {
  const { status, stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--no-pager', UNIT],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  const exposure = /Overall exposure level[^:]*: ([\d.]+)/.exec(stdout)?.[1];
  assert.ok(exposure, `no exposure level in: ${stdout.slice(-300)}`);
  assert.ok(Number(exposure) <= MAX_EXPOSURE, `exposure is ${exposure}`);
});

test('the manager waits for the agent to be ready and for its signs of life', () => {
  const unit = readFileSync(UNIT, 'utf8');
  for (const line of ['Type=notify', 'NotifyAccess=main', 'WatchdogSec=30s', 'Restart=always'])
    assert.match(unit, new RegExp(`^${line}$`, 'm'));
});

test('the unit grants CAP_NET_ADMIN and nothing else, to a user who is not root', () => {
  const unit = readFileSync(UNIT, 'utf8');
  for (const key of ['AmbientCapabilities', 'CapabilityBoundingSet']) {
    const values = [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1]);
    assert.deepEqual(values, ['CAP_NET_ADMIN'], key);
  }
  assert.match(unit, /^User=weft$/m);
  assert.match(unit, /^DeviceAllow=\/dev\/net\/tun rw$/m);
});
