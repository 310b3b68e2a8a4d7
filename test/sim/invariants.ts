/**
 * What must hold at every step of every run, whatever the faults (the proof obligations of SWIM as this project runs it):
 * numbers of a member only rise for each observer; nobody comes back from doubt or death but under a new incarnation;
 * nobody is declared dead without signed accusations, nor before the time that so many accusers leave it; queues, tables,
 * datagrams and what one host sends in a second are bounded. A breach throws, with the hosts that it concerns.
 */
import { DEFAULT_CONFIG, MAX_DATAGRAM_BYTES } from '../../gossip/config.ts';
import type { Member } from '../../gossip/member.ts';
import { expectedConfirmations, suspicionBounds, suspicionMs } from '../../gossip/suspicion.ts';
import type { MemberState } from '../../gossip/types.ts';
import { numberOf, OWN_CLASS } from './cheap-parts.ts';
import type { Host, World } from './world.ts';

/**
 * Datagrams of one host in a second, at the worst: records that others lack (core.ts bounds them), and what it has, told to
 * whoever compares.
 */
const mostPerSecond = (hosts: number): number => 600 + 2 * hosts;
const MOST_NEWS = 4096;

export class Breach extends Error {
  /** Hosts whose datagrams tell what happened. */
  readonly hosts: readonly number[];

  constructor(what: string, hosts: readonly number[]) {
    super(what);
    this.hosts = hosts;
  }
}

interface Seen {
  readonly life: number;
  incarnation: number;
  seq: number;
  state: MemberState;
  /** When doubt began, on the observer's clock. */
  doubtedAtMs: number;
}

export class Invariants {
  readonly #world: World;
  /** By `observer subject`. */
  readonly #seen = new Map<string, Seen>();
  /** Who signed an accusation, by `subject incarnation`. */
  readonly #accusers = new Map<string, Set<number>>();
  readonly #own = new Map<number, readonly [number, number]>();
  readonly #sent = new Map<number, number>();
  /** The most that a host sent in one second. */
  mostPerSecond = 0;
  deaths = 0;
  /** Deaths of hosts that were up. */
  falseDeaths = 0;

  constructor(world: World) {
    this.#world = world;
    world.onAccuse = (accuser, target, incarnation) => {
      const key = `${target} ${incarnation}`;
      this.#accusers.set(key, (this.#accusers.get(key) ?? new Set()).add(accuser));
    };
    world.onOutput = (host, output) => {
      if (output.type === 'equivocation')
        throw new Breach(`${host.n} saw two records with one number`, [host.n, numberOf(output.id)]);
      if (output.type === 'member') this.#changed(host, output.id);
    };
    world.onSent = (from, bytes) => {
      if (bytes.length > MAX_DATAGRAM_BYTES) throw new Breach(`${from} sent ${bytes.length} bytes`, [from]);
      this.#sent.set(from, (this.#sent.get(from) ?? 0) + 1);
    };
    const eachSecond = (): void => {
      this.#everySecond();
      world.at(world.nowMs + 1000, eachSecond);
    };
    world.at(world.nowMs + 1000, eachSecond);
  }

  #changed(host: Host, id: string): void {
    const subject = numberOf(id);
    const key = `${host.n} ${subject}`;
    const member = host.swim?.member(id);
    const known = this.#seen.get(key);
    const before = known?.life === host.life ? known : undefined;
    const breach = (what: string): never => {
      throw new Breach(`${host.n} saw ${subject} ${what}`, [host.n, subject]);
    };
    if (member === undefined) {
      if (before !== undefined && before.state !== 'dead' && before.state !== 'left') breach('vanish');
      this.#seen.delete(key);
      return;
    }
    const { incarnation, seq } = member.record;
    const localMs = this.#world.localMs(host);
    const from = before?.state ?? 'alive';
    const fell = (before !== undefined && incarnation - before.incarnation) || seq - (before?.seq ?? seq);
    if (before !== undefined && fell < 0) breach(`fall back from ${before.incarnation}.${before.seq}`);
    const returned = from !== 'alive' && member.state === 'alive';
    if (returned && incarnation <= (before?.incarnation ?? 0))
      breach(`${from}, then alive, in one incarnation`);
    if (from !== 'dead' && member.state === 'dead') {
      if (from !== 'suspect') breach('dead without having doubted it');
      this.#judgeDeath(host, subject, incarnation, localMs - (before?.doubtedAtMs ?? localMs));
    }
    const doubtedAtMs =
      member.state === 'suspect' && from !== 'suspect' ? localMs : (before?.doubtedAtMs ?? 0);
    this.#seen.set(key, { life: host.life, incarnation, seq, state: member.state, doubtedAtMs });
  }

  /** No death without signed accusations, nor sooner than so many accusers allow. */
  #judgeDeath(host: Host, subject: number, incarnation: number, doubtedForMs: number): void {
    this.deaths += 1;
    if (this.#world.host(subject).swim !== null) this.falseDeaths += 1;
    const accusers = this.#votes(host, subject, incarnation);
    const c = DEFAULT_CONFIG;
    // In a mesh without classes nothing hangs on who is here; to look at each member would make it, in a mesh of thousands.
    const { alive, suspect } = host.swim!.stats().members;
    const n = this.#world.hasClasses ? this.#hereTo(host).length : alive + suspect;
    const { minMs, maxMs } = suspicionBounds(c.suspicionMult, c.suspicionMaxMult, n, c.probeIntervalMs);
    const expected = expectedConfirmations(c.suspicionMult, n);
    const leastMs = suspicionMs(expected, accusers - 1, minMs, maxMs);
    if (accusers === 0 || doubtedForMs < leastMs - 1)
      throw new Breach(
        `${host.n} declared ${subject} dead after ${Math.round(doubtedForMs)} ms with ${accusers} accusers, not ${Math.round(leastMs)} ms`,
        [host.n, subject],
      );
  }

  /** Signed doubts, one for each accuser; those of one voter class that is less than half of the mesh are one. */
  #votes(host: Host, subject: number, incarnation: number): number {
    const accusers = [...(this.#accusers.get(`${subject} ${incarnation}`) ?? [])];
    const classOf = (n: number): number => this.#world.host(n).disk.voterClass;
    if (!this.#world.hasClasses) return accusers.length;
    const here = this.#hereTo(host).map(classOf);
    const isFew = (c: number): boolean =>
      c !== OWN_CLASS && 2 * here.filter((other) => other === c).length < here.length;
    const classes = accusers.map(classOf);
    return classes.filter((c) => !isFew(c)).length + new Set(classes.filter(isFew)).size;
  }

  /**
   * The observer and whom it took for here when it judged: one tick may declare several dead, one after the other, and all are
   * dead by the time that the first is told of.
   */
  #hereTo(host: Host): number[] {
    const stateOf = (m: Member): MemberState => {
      const seen = this.#seen.get(`${host.n} ${numberOf(m.id)}`);
      return seen?.life === host.life ? seen.state : m.state;
    };
    const others = (host.swim?.members() ?? []).filter((m) => ['alive', 'suspect'].includes(stateOf(m)));
    return [host.n, ...others.map((m) => numberOf(m.id))];
  }

  #everySecond(): void {
    for (const { n, swim } of this.#world.hosts) {
      const sent = this.#sent.get(n) ?? 0;
      this.mostPerSecond = Math.max(this.mostPerSecond, sent);
      if (sent > mostPerSecond(this.#world.hosts.length))
        throw new Breach(`${n} sent ${sent} datagrams in one second`, [n]);
      if (swim === null) continue;
      const { broadcastQueue, members } = swim.stats();
      const known = members.alive + members.suspect + members.dead + members.left;
      if (broadcastQueue > MOST_NEWS) throw new Breach(`${n} queues ${broadcastQueue} news`, [n]);
      if (known > this.#world.hosts.length) throw new Breach(`${n} knows ${known} members`, [n]);
      const { incarnation, seq } = swim.own;
      const [formerly, formerSeq] = this.#own.get(n) ?? [0, 0];
      if (incarnation < formerly || (incarnation === formerly && seq < formerSeq))
        throw new Breach(`${n} went back to ${incarnation}.${seq}`, [n]);
      this.#own.set(n, [incarnation, seq]);
    }
    this.#sent.clear();
  }
}
