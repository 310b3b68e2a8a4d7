/**
 * The libraries that may seal AES-256-GCM, so that a test can run with each: OpenSSL always, intel-ipsec-mb where its header
 * was there when the addon was built. Every machine that runs `.ci/run` has it.
 */
import { existsSync } from 'node:fs';
import { useIpsecMb } from 'tun-tap';

export const HAS_IPSEC_MB = existsSync('/usr/include/intel-ipsec-mb.h');

export interface Cipher {
  readonly suite: 1 | 2;
  readonly library: 'openssl' | 'ipsec-mb';
}

export const CIPHERS: readonly Cipher[] = [
  { suite: 1, library: 'openssl' },
  { suite: 2, library: 'openssl' },
  ...(HAS_IPSEC_MB ? [{ suite: 2, library: 'ipsec-mb' } as const] : []),
];

/** Keys made from now on are of this library. @throws Error when that is not so: the test would show nothing */
export function use(library: Cipher['library']): void {
  const { missing } = useIpsecMb(library === 'ipsec-mb');
  if (library === 'ipsec-mb' && missing !== undefined) throw new Error(missing);
}
