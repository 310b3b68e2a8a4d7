/**
 * `weft init`: a new mesh and its first host, as files only. Part of the composition root.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { InitOptions, InitResult } from './cli/actions.ts';
import { systemClock, systemRng } from './clock.ts';
import { formatHostSettings } from './config/load.ts';
import { WeftError } from './errors.ts';
import { createMesh } from './identity/genesis.ts';
import { holdsMember, writeMeshRef, writeNodeKeys } from './identity/node-identity.ts';
import { formatPrefix, parsePrefix } from './identity/prefix.ts';
import { formatRecoveryKey } from './identity/recovery-key.ts';
import { sodiumReady } from './identity/sodium.ts';
import { STATE_FILE, StateDir } from './identity/state-dir.ts';
import { lockState } from './identity/state-lock.ts';
import { segmentMtuBytes } from './segment/mtu.ts';

/** What `--address auto` means for the first host of a mesh. */
const DEFAULT_ADDRESS = '10.80.0.1/16';

/**
 * Makes keys, policy and the first certificate.
 * @throws WeftError E_STATE_EXISTS when the directory already holds a member
 */
export async function initMesh(options: InitOptions): Promise<InitResult> {
  await sodiumReady;
  const { config } = options;
  const state = StateDir.open(config.stateDir);
  const unlock = lockState(state.path);
  try {
    if (holdsMember(state))
      throw new WeftError(
        'E_STATE_EXISTS',
        `${state.path} already holds a member: start it with \`weft run\`, or choose another --state`,
      );
    // Overwriting a root would end a mesh that may still run elsewhere.
    if (state.has(STATE_FILE.rootKey))
      throw new WeftError(
        'E_STATE_EXISTS',
        `${state.file(STATE_FILE.rootKey)} is the root of a mesh: restore its directory, or choose another --state`,
      );
    const address = parsePrefix(config.address === 'auto' ? DEFAULT_ADDRESS : config.address);
    if (address === null)
      throw new WeftError('E_CONFIG', `--address ${config.address}: not an address with its prefix`);
    const genesis = createMesh(
      {
        meshName: options.mesh,
        hostName: options.name,
        vni: options.vni,
        mode: options.mode,
        encap: options.encap,
        mtuBytes: segmentMtuBytes(options.mode, options.encap),
        address,
        recovery: options.recoveryOut !== null,
      },
      systemClock,
      systemRng,
    );
    const [root] = genesis.policy.roots;
    if (root === undefined) throw new WeftError('E_INTERNAL', 'a policy without a root');
    // First: there must be no mesh whose policy names a recovery key that nobody has.
    if (genesis.recovery !== null && options.recoveryOut !== null)
      writeRecoveryKey(options.recoveryOut, formatRecoveryKey(genesis.meshId, genesis.recovery));
    writeNodeKeys(state, genesis.keys);
    state.write(STATE_FILE.rootKey, genesis.root.secretKey.slice(0, 32));
    state.write(STATE_FILE.psk, genesis.psk);
    state.write(STATE_FILE.policy, genesis.policy.bytes);
    writeMeshRef(state, { meshId: genesis.meshId, rootPk: root, rootNonce: genesis.policy.rootNonce });
    const settings = {
      name: options.name,
      address: formatPrefix(address),
      underlay: config.underlay,
      tap: config.tap,
    };
    state.write(STATE_FILE.host, formatHostSettings(settings));
    // Last: from here on the directory holds a member.
    state.write(STATE_FILE.cert, genesis.cert);
    const warnings = [
      ...(options.mode === 'plain'
        ? ['plain: frames cross the underlay unsealed; whoever is on it can read and forge them']
        : []),
      ...(options.recoveryOut === null
        ? [
            `no recovery key: if ${state.file(STATE_FILE.rootKey)} is lost or stolen the mesh has to be made anew; back it up, or run init with --recovery-out FILE`,
          ]
        : []),
    ];
    return {
      name: options.name,
      mesh: options.mesh,
      address: formatPrefix(address),
      stateDir: state.path,
      recoveryFile: options.recoveryOut,
      warnings,
    };
  } finally {
    unlock();
  }
}

/** A new file that only its owner reads, on disk before this returns. @throws WeftError E_CONFIG */
function writeRecoveryKey(path: string, text: string): void {
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      writeSync(fd, `${text}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'EEXIST' ? 'exists, and a recovery key in it would be lost: choose another' : message;
    throw new WeftError('E_CONFIG', `--recovery-out ${path}: ${why}`, { cause: error });
  }
}
