/**
 * Where a seed is: the addresses that its name has at this moment, and the address that the token says. A name is that of
 * a host (A and AAAA, as this machine resolves names) or, when it begins with `_`, of a service (SRV, RFC 2782, by priority
 * and weight), whose targets are looked up in turn. Part of the composition root; used by a joiner, and by a running agent
 * that has met nobody. Looking up never throws: a name that nobody answers for has no addresses.
 */
import { promises as dns } from 'node:dns';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';
import { canonicalIp } from './endpoint.ts';

/** What of DNS is needed; replaced in tests. */
export interface Resolver {
  addresses(host: string): Promise<readonly string[]>;
  services(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
}

export const systemResolver: Resolver = {
  async addresses(host) {
    const found = await dns.lookup(host, { all: true });
    return found.flatMap(({ address }) => canonicalIp(address) ?? []);
  },
  async services(name) {
    const found = await dns.resolveSrv(name);
    found.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    return found.map((s) => ({ name: s.name, port: s.port }));
  },
};

const LOOKUP_MS = 3000;
/** Addresses of one seed that are tried; a service name may have many more. */
const MAX_ADDRESSES = 8;

/** Bounded in time: the resolver of a machine without network may take minutes to give up. */
function within<T>(work: Promise<readonly T[]>, clock: Clock): Promise<readonly T[]> {
  return new Promise((resolve) => {
    const cancel = clock.after(LOOKUP_MS, () => resolve([]));
    const finish = (found: readonly T[]): void => {
      cancel();
      resolve(found);
    };
    work.then(finish, () => finish([]));
  });
}

/** Addresses of a name, first the most wanted; SRV says the port, else `port`. */
export async function lookUp(
  host: string,
  port: number,
  clock: Clock,
  resolver: Resolver = systemResolver,
): Promise<Endpoint[]> {
  const targets = host.startsWith('_')
    ? await within(resolver.services(host), clock)
    : [{ name: host, port }];
  const found: Endpoint[] = [];
  for (const target of targets.slice(0, MAX_ADDRESSES))
    for (const ip of await within(resolver.addresses(target.name), clock))
      found.push({ ip, port: target.port });
  return unique(found).slice(0, MAX_ADDRESSES);
}

/** What to try for a seed, in order: its name's addresses, then the one that the token says. */
export async function placesOf(
  seed: { readonly host: string | null; readonly ip: string; readonly port: number },
  clock: Clock,
  resolver: Resolver = systemResolver,
): Promise<Endpoint[]> {
  const named = seed.host === null ? [] : await lookUp(seed.host, seed.port, clock, resolver);
  return unique([...named, { ip: seed.ip, port: seed.port }]);
}

function unique(endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.filter(
    (e, i) => endpoints.findIndex((other) => other.ip === e.ip && other.port === e.port) === i,
  );
}
