/**
 * Files of the state directory as fuzz targets: written as they lie on disk, read by the function that the agent reads them
 * with. A damaged file is refused by its name, or costs what docs/WIRE.md says, and never makes another thing of it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readContacts } from '../../agent/agent-contacts.ts';
import { loadReplays } from '../../agent/agent-persist.ts';
import { AdmissionLog } from '../../agent/identity/admission-log.ts';
import { readCounters } from '../../agent/identity/node-identity.ts';
import { parsePolicy } from '../../agent/identity/policy.ts';
import { readPolicyChain } from '../../agent/identity/policy-chain.ts';
import { readRevocations } from '../../agent/identity/revocation-set.ts';
import { concat, toHex, utf8 } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir, type StateFile } from '../../agent/identity/state-dir.ts';
import { loadMembers } from '../../agent/peer/member-file.ts';
import { ReplayGuard } from '../../agent/session/replay-guard.ts';
import * as material from '../vector/wire-doc-material.ts';
import * as records from '../vector/wire-doc-records.ts';
import { refusing, type Target } from './target.ts';

const { meshId } = material;

/** Made when the first file is read, and gone with the process. */
let made: StateDir | null = null;
function stateDir(): StateDir {
  if (made !== null) return made;
  const folder = mkdtempSync(join(tmpdir(), 'weft-fuzz-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  made = StateDir.open(folder);
  return made;
}

/** @param read reads the file; an error that is no WeftError is a finding */
function file(name: StateFile, inputs: readonly Uint8Array[], read: (state: StateDir) => unknown): Target {
  const run = (bytes: Uint8Array): boolean => {
    const state = stateDir();
    writeFileSync(state.file(name), bytes);
    return refusing(() => read(state));
  };
  return { name: `state file ${name}`, inputs, run, costs: 20 };
}

const json = (value: unknown): Uint8Array => utf8(`${JSON.stringify(value)}\n`);
const block = (bytes: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
const hex = toHex(material.some('a key', 32));

/** Files whose content is signed are given the statements that they hold. */
export function stateTargets(revocation: Uint8Array): Target[] {
  const policy = parsePolicy(records.policyBytes, meshId);
  if (policy === null) throw new Error('the policy of the documentation is none');
  const row = {
    tokenId: hex.slice(0, 32),
    slot: 1,
    requestId: hex,
    cert: Buffer.from(records.nodeCert).toString('base64'),
    tokenExpiresMs: material.NOW_MS,
  };
  return [
    file(STATE_FILE.counters, [json({ boot: 3, incarnation: 2 ** 52 })], readCounters),
    file(STATE_FILE.replays, [json([{ dhPk: hex, incarnation: 1, counter: 9 }])], (state) =>
      new ReplayGuard(8).restore(loadReplays(state)),
    ),
    file(
      STATE_FILE.contacts,
      [json([{ id: hex, dhPk: hex, ip: '192.0.2.1', gossipPort: 7946, host: 'seed.example' }])],
      readContacts,
    ),
    file(
      STATE_FILE.members,
      [concat(utf8('weft1 members\n'), block(records.nodeState), block(records.nodeCert))],
      loadMembers,
    ),
    file(STATE_FILE.revocations, [block(revocation)], (state) => readRevocations(state, meshId, [policy])),
    file(STATE_FILE.policies, [block(records.policyBytes)], (state) => readPolicyChain(state, meshId)),
    file(STATE_FILE.admissions, [json(row).subarray(0, -1)], (state) => {
      new AdmissionLog(state.appendFile(STATE_FILE.admissions), material.clock);
    }),
  ];
}
