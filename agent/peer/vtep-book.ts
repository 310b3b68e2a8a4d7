/**
 * The plain endpoints that an operator added (kernel vxlan devices, Open vSwitch, hardware): on disk, in the peer table
 * and in the workers, all three or none. Only for segments that policy makes plain. vteps.json is a list of
 * `{"address": "IP:PORT", "vni": N}`.
 */
import { type Endpoint, formatEndpoint, parseEndpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import type { SegmentRule } from '../identity/policy.ts';
import { STATE_FILE, type StateDir } from '../identity/state-dir.ts';
import type { PeerTable, VtepPeer } from './peer-table.ts';
import { PLAIN_PORT } from './underlay.ts';

/** What the book does to the workers. */
export interface VtepSink {
  setVtep(slot: number, vni: number, endpoint: Endpoint): Promise<void>;
  removeVtep(slot: number): Promise<void>;
}

const MAX_VTEPS = 256;

export class VtepBook {
  readonly #state: StateDir;
  readonly #segment: SegmentRule;
  readonly #peers: PeerTable;
  readonly #sink: VtepSink;

  constructor(state: StateDir, segment: SegmentRule, peers: PeerTable, sink: VtepSink) {
    this.#state = state;
    this.#segment = segment;
    this.#peers = peers;
    this.#sink = sink;
  }

  /** Installs what is on disk. @throws WeftError E_STATE for a damaged file */
  async load(): Promise<void> {
    // A policy may have sealed the segment since.
    if (this.#segment.mode === 'sealed' || !this.#state.has(STATE_FILE.vteps)) return;
    for (const { address } of this.#read()) {
      const endpoint = parseEndpoint(address, PLAIN_PORT[this.#segment.encap]);
      if (endpoint === null)
        throw this.#state.damaged(STATE_FILE.vteps, `holds '${address}', which is no address`);
      await this.#install(endpoint);
    }
  }

  #read(): { readonly address: string; readonly vni: number }[] {
    try {
      const value: unknown = JSON.parse(Buffer.from(this.#state.read(STATE_FILE.vteps)).toString('utf8'));
      if (
        Array.isArray(value) &&
        value.every((v) => typeof v?.address === 'string' && Number.isInteger(v?.vni))
      )
        return value;
    } catch (error) {
      if (error instanceof WeftError) throw error;
    }
    throw this.#state.damaged(STATE_FILE.vteps, 'is damaged');
  }

  async #install(endpoint: Endpoint): Promise<void> {
    const peer = this.#peers.addVtep(this.#segment.vni, endpoint, formatEndpoint(endpoint));
    if (peer === null) throw new WeftError('E_CONFIG', 'no room for another endpoint');
    await this.#sink.setVtep(peer.slot, peer.vni, endpoint);
  }

  list(): { readonly address: string; readonly vni: number }[] {
    return this.#peers.vteps().map((v) => ({ address: formatEndpoint(v.endpoint), vni: v.vni }));
  }

  #find(endpoint: Endpoint): VtepPeer | undefined {
    return this.#peers
      .vteps()
      .find((v) => v.endpoint.ip === endpoint.ip && v.endpoint.port === endpoint.port);
  }

  /** Reads an address and checks that the segment is this host's. @throws WeftError E_REQUEST, E_NOT_FOUND, E_REFUSED */
  #parse(text: string, segment: string | null): Endpoint {
    const { vni, mode, encap } = this.#segment;
    if (segment !== null && segment !== String(vni))
      throw new WeftError('E_NOT_FOUND', `this host has no segment '${segment}', only ${vni}`);
    if (mode === 'sealed')
      throw new WeftError(
        'E_REFUSED',
        `segment ${vni} is sealed: plain endpoints are for segments that are plain by policy`,
      );
    const endpoint = parseEndpoint(text, PLAIN_PORT[encap]);
    if (endpoint === null) throw new WeftError('E_REQUEST', `'${text}' is no IP or IP:PORT`);
    return endpoint;
  }

  /** Takes effect at once and persists. Adding what is there changes nothing. */
  async add(text: string, segment: string | null): Promise<void> {
    const endpoint = this.#parse(text, segment);
    if (this.#find(endpoint) !== undefined) return;
    if (this.#peers.vteps().length >= MAX_VTEPS)
      throw new WeftError('E_REFUSED', `no more than ${MAX_VTEPS} plain endpoints`);
    await this.#install(endpoint);
    this.#save();
  }

  /** @throws WeftError E_NOT_FOUND */
  async remove(text: string, segment: string | null): Promise<void> {
    const endpoint = this.#parse(text, segment);
    const peer = this.#find(endpoint);
    if (peer === undefined)
      throw new WeftError('E_NOT_FOUND', `no plain endpoint ${formatEndpoint(endpoint)}`);
    this.#peers.remove(peer);
    this.#save();
    await this.#sink.removeVtep(peer.slot);
    this.#peers.release(peer.slot);
  }

  /** Ends the exchange with all of them; what is on disk stays. */
  async cutAll(): Promise<void> {
    await Promise.all(this.#peers.vteps().map(({ slot }) => this.#sink.removeVtep(slot)));
  }

  #save(): void {
    this.#state.write(STATE_FILE.vteps, `${JSON.stringify(this.list(), null, 2)}\n`);
  }
}
