/**
 * Which endpoints are one, and those that nothing is sent to, whoever signed them: this host's own, unspecified, loopback, multicast and broadcast
 * ones. A host whose own endpoint is a loopback address is configured for tests on one machine and may use others.
 */
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Address } from './types.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const neverUnicast = new BlockList();
neverUnicast.addSubnet('0.0.0.0', 8, 'ipv4');
// Multicast, reserved and the limited broadcast address.
neverUnicast.addSubnet('224.0.0.0', 3, 'ipv4');
neverUnicast.addAddress('::', 'ipv6');
neverUnicast.addSubnet('ff00::', 8, 'ipv6');

const holds = (list: BlockList, ip: string): boolean => list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');

export const sameAddress = (a: Address, b: Address): boolean => a.ip === b.ip && a.port === b.port;

type Verdict = 'usable' | 'loopback' | 'refused';

/** Asking the block lists costs more than sending; weak, so bounded by the addresses that are held. */
const verdicts = new WeakMap<Address, Verdict>();

function verdictOn(address: Address): Verdict {
  let verdict = verdicts.get(address);
  if (verdict === undefined) {
    const { ip, port } = address;
    const unusable = isIP(ip) === 0 || !Number.isInteger(port) || port < 1 || port > 65_535;
    if (unusable || holds(neverUnicast, ip)) verdict = 'refused';
    else verdict = holds(loopback, ip) ? 'loopback' : 'usable';
    verdicts.set(address, verdict);
  }
  return verdict;
}

export function isRefused(address: Address, own: Address | null): boolean {
  const verdict = verdictOn(address);
  if (verdict === 'refused' || (own !== null && sameAddress(own, address))) return true;
  return verdict === 'loopback' && (own === null || !holds(loopback, own.ip));
}
