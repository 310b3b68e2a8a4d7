/**
 * `weft up` on a host that is no member yet: asks the token's seeds for admission over a socket of its own, before any
 * worker runs. Part of the composition root. Until the answer is there nothing is logged above debug; a refusal is one
 * line.
 */
import { DgramAsPromised } from 'dgram-as-promised';
import type { Logger } from 'pino';
import { OpeningKey, ReplayWindow, SealingKey } from 'tun-tap';
import { placesOf } from './agent-seeds.ts';
import { silenceOf } from './agent-silence.ts';
import { type Clock, systemRng } from './clock.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import { acceptAdmission, type JoinPlan, lessonOf, passingRefusal, prepareJoin } from './identity/joiner.ts';
import { parseNodeCert } from './identity/node-cert.ts';
import type { Prefix } from './identity/prefix.ts';
import type { StateDir } from './identity/state-dir.ts';
import type { Token, TokenSeed } from './identity/token.ts';
import { SessionManager } from './session/session-manager.ts';
import type { SessionOutput } from './session/types.ts';

export interface JoinOptions {
  readonly state: StateDir;
  readonly token: Token;
  readonly name: string;
  /** Null: the admitter assigns. */
  readonly address: Prefix | null;
  readonly listen: Endpoint;
  readonly clock: Clock;
  readonly log: Logger;
}

const TICK_MS = 50;
const HEADER_BYTES = 16;
const CONTROL_LANE = 15;
const KEY_BYTES = 32;
/** Unsealed datagram types, as the session layer numbers them. */
const KIND_OFFSET = 16;

/** A seed that says nothing is left for the next one after this; the last one is waited for as long as it takes. */
const NEXT_SEED_MS = 5000;
/** A seed that speaks the other cipher answers at once. */
const OTHER_SUITE_MS = 1500;
/** Seeds that cannot reach the admitter, or are too busy, are asked again for this long. */
const ASK_AGAIN_FOR_MS = 20_000;
const ASK_AGAIN_GAP_MS = 1000;
/** Of all seeds together: each costs NEXT_SEED_MS if it is silent. */
const MAX_PLACES = 12;

/** One address of one seed, and what came of asking there. */
interface Place {
  readonly seed: TokenSeed;
  readonly endpoint: Endpoint;
  /** What it is asked with. */
  suite: 1 | 2;
  /** What it said; null when it said nothing. */
  answer: string | null;
}

/**
 * Joins: afterwards the state directory holds a member. Seeds are asked in the token's order; the request is the same for
 * all, and whoever counts the token answers it once, so a second answer is no second admission.
 * @throws WeftError E_REFUSED, E_UNREACHABLE, E_ADDRESS_IN_USE, E_RECORD
 */
export async function join(options: JoinOptions): Promise<void> {
  const { state, token, name, address, clock } = options;
  const plan = prepareJoin(state, token, name, address, systemRng);
  const startMs = clock.monotonicMs();
  const places = await placesOfToken(options);
  for (let isFirst = true; ; isFirst = false) {
    // Later only those that answered: the others have had their time.
    const asked = places.filter((place) => isFirst || place.answer !== null);
    for (const place of asked) {
      const limitMs = place === places.at(-1) && isFirst ? null : NEXT_SEED_MS;
      const reply = await askInSuites(options, plan, place, limitMs);
      if (reply === null) continue;
      place.answer = passingRefusal(reply);
      if (place.answer === null) return accept(options, plan, place, reply);
    }
    const answered = places.some((place) => place.answer !== null);
    if (!answered || clock.monotonicMs() - startMs >= ASK_AGAIN_FOR_MS)
      throw await notAdmitted(places, clock);
    await new Promise<void>((resolve) => clock.after(ASK_AGAIN_GAP_MS, resolve));
  }
}

/**
 * The reply to the request. A seed whose mesh changed its cipher since the token was made does not understand the token's:
 * after a silence the other is tried there.
 */
async function askInSuites(
  options: JoinOptions,
  plan: JoinPlan,
  place: Place,
  limitMs: number | null,
): Promise<Uint8Array | null> {
  const own = place.suite;
  const reply = await ask(options, plan.request, plan, place, limitMs);
  if (reply !== null) return reply;
  place.suite = own === 2 ? 1 : 2;
  const other = await ask(options, plan.request, plan, place, OTHER_SUITE_MS);
  if (other === null) place.suite = own;
  return other;
}

/** Learns the policies since the token's from the seed that let this host in, then puts all of it on disk. */
async function accept(options: JoinOptions, plan: JoinPlan, place: Place, reply: Uint8Array): Promise<void> {
  const { state, token, clock } = options;
  const lesson = lessonOf(state, token, reply);
  while (!lesson.isOver) {
    const answer = await ask(options, lesson.question, plan, place, null);
    if (answer === null || !lesson.take(answer)) break;
  }
  acceptAdmission(state, token, plan, reply, lesson, clock);
}

/** Every address of every seed that this host's socket can reach, in the token's order. */
async function placesOfToken({ token, clock, listen }: JoinOptions): Promise<Place[]> {
  const isV6 = listen.ip.includes(':');
  const found = await Promise.all(
    token.seeds.map(async (seed) => {
      const endpoints = await placesOf({ host: seed.host, ip: seed.ip, port: seed.sealedPort }, clock);
      return endpoints.map(
        (endpoint): Place => ({
          seed,
          endpoint,
          suite: token.suite,
          answer: null,
        }),
      );
    }),
  );
  const places = found.flat();
  const reachable = places.filter(({ endpoint }) => endpoint.ip.includes(':') === isV6);
  return (reachable.length > 0 ? reachable : places).slice(0, MAX_PLACES);
}

/** Nobody admitted this host: what each seed said, or why they are silent. */
async function notAdmitted(places: readonly Place[], clock: Clock): Promise<WeftError> {
  const said = places.flatMap(({ endpoint, answer }) =>
    answer === null ? [] : `${formatEndpoint(endpoint)}: ${answer}`,
  );
  if (said.length === 0) return unanswered(places, clock);
  const silent = places
    .filter(({ answer }) => answer === null)
    .map(({ endpoint }) => formatEndpoint(endpoint));
  const rest = silent.length === 0 ? '' : `; no answer from ${silent.join(', ')}`;
  return new WeftError('E_REFUSED', `refused by every seed that answered: ${said.join('; ')}${rest}`);
}

/** What to say when no seed answered: another mesh, no agent, or no path. */
async function unanswered(places: readonly Place[], clock: Clock): Promise<WeftError> {
  const seeds = places.map(({ endpoint }) => endpoint);
  const names = seeds.map(formatEndpoint).join(', ');
  const silences = await Promise.all(seeds.map((seed) => silenceOf(seed, clock)));
  if (silences.includes('open'))
    return new WeftError(
      'E_REFUSED',
      `refused: the agent at ${names} does not know the mesh of this token: the token belongs to another mesh, or the host was set up anew`,
    );
  if (silences.every((silence) => silence === 'closed'))
    return new WeftError(
      'E_UNREACHABLE',
      `no agent listens at ${names}, the seed of this token: start it there with \`weft run\``,
    );
  return new WeftError(
    'E_UNREACHABLE',
    `no seed of the token answered (${names}): is its agent running, and may UDP reach it from here?`,
  );
}

/** The reply of one seed, or null when it did not answer in time. */
async function ask(
  options: JoinOptions,
  request: Uint8Array,
  plan: JoinPlan,
  { seed, endpoint, suite }: Place,
  limitMs: number | null,
): Promise<Uint8Array | null> {
  const { token, clock, listen, log } = options;
  const socket = DgramAsPromised.createSocket({ type: listen.ip.includes(':') ? 'udp6' : 'udp4' });
  try {
    await socket.bind({ address: listen.ip, port: listen.port, exclusive: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE')
      throw new WeftError(
        'E_ADDRESS_IN_USE',
        `${formatEndpoint(listen)} is in use by another process: stop it or choose another --underlay`,
        { cause: error },
      );
    throw new WeftError('E_CONFIG', `cannot use ${formatEndpoint(listen)} (${code}): correct --underlay`, {
      cause: error,
    });
  }
  const sessions = joinSessions(options, plan, suite);
  /** The one receive key of the attempt; replaced by a later one. */
  let opening: { readonly index: number; readonly key: OpeningKey } | null = null;
  return new Promise((resolve) => {
    let stopTimer: () => void = () => {};
    let stopLimit: () => void = () => {};
    const finish = (reply: Uint8Array | null): void => {
      stopTimer();
      stopLimit();
      sessions.close();
      opening?.key.destroy();
      socket.socket.removeAllListeners('message');
      void socket.close().then(() => resolve(reply));
    };
    const carryOut = (outputs: readonly SessionOutput[]): void => {
      for (const o of outputs) {
        if (o.kind === 'send') void socket.send(Buffer.from(o.bytes), o.to.port, o.to.ip).catch(() => {});
        else if (o.kind === 'installReceive') {
          opening?.key.destroy();
          const from = CONTROL_LANE * KEY_BYTES;
          opening = {
            index: o.index,
            key: new OpeningKey(o.suite, o.laneKeys.slice(from, from + KEY_BYTES)),
          };
          o.laneKeys.fill(0);
          carryOut(sessions.installed(clock.monotonicMs(), o.token));
        } else if (o.kind === 'joinReply') return finish(o.body);
        else if (o.kind === 'joinFailed') return finish(null);
        else log.debug({ output: o.kind }, 'joining');
      }
    };
    socket.socket.on('error', (error) => log.debug({ error: error.message }, 'joining'));
    socket.socket.on('message', (message, from) => {
      const bytes = new Uint8Array(message);
      const source = { ip: from.address, port: from.port };
      const now = clock.monotonicMs();
      if (bytes[0] !== 4)
        return carryOut(sessions.datagram(now, KIND_OFFSET + (bytes[0] ?? 0), bytes, source));
      if (bytes.length < HEADER_BYTES + 16 || opening === null) return;
      const view = new DataView(bytes.buffer);
      const index = view.getUint32(4);
      const counter = Number(view.getBigUint64(8));
      if (index !== opening.index + CONTROL_LANE || !Number.isSafeInteger(counter)) return;
      const plain = opening.key.open(counter, bytes.slice(0, HEADER_BYTES), bytes.slice(HEADER_BYTES));
      if (plain !== null) carryOut(sessions.control(now, index, counter, plain, bytes.length, source, true));
    });
    stopTimer = clock.every(TICK_MS, () => carryOut(sessions.tick(clock.monotonicMs())));
    if (limitMs !== null) stopLimit = clock.after(limitMs, () => finish(null));
    const target = { dhPk: seed.dhPk, signPk: seed.signPk, endpoint };
    carryOut(sessions.startJoin(clock.monotonicMs(), target, token.cert.record.bytes, request));
  });
}

/** A session manager that can do nothing but join. */
function joinSessions(options: JoinOptions, plan: JoinPlan, suite: 1 | 2): SessionManager {
  const { token } = options;
  const none = new Uint8Array(16);
  return new SessionManager(
    {
      meshId: token.meshId,
      psk: token.psk,
      suite,
      inner: 1,
      dataLanes: 0,
      transmitLanes: 0,
      transmitFlags: 1,
      identity: {
        dhSk: plan.keys.dh.secretKey,
        dhPk: plan.keys.dh.publicKey,
        signPk: plan.keys.sign.publicKey,
      },
      incarnation: 0,
      resetSecrets: { current: systemRng.fill(new Uint8Array(32)), previous: null },
      local: () => ({
        policySeq: token.policySeq,
        policyId: token.policyId.slice(0, 16),
        revocationDigest: none,
        certificates: [],
      }),
      // The seed's key is pinned by the token; its certificate adds nothing here.
      verifyMember: (certificates, dhPk) => {
        const cert = parseNodeCert(certificates[0] ?? new Uint8Array(0), token.meshId);
        if (cert === null) return { ok: false, reason: 'not a certificate of this mesh' };
        return { ok: true, value: { id: cert.nodeIdHex, dhPk, signPk: cert.signPk } };
      },
      verifyToken: () => ({ ok: false, reason: 'this host is joining itself' }),
      sealer: (suite, key) => new SealingKey(suite, key),
      window: () => new ReplayWindow(),
    },
    systemRng,
  );
}
