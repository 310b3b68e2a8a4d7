/** Whether /dev/net/tun can be opened. Opening it makes no device: that takes a further call. */
import { closeSync, constants, openSync } from 'node:fs';

export type TunState = 'ok' | 'missing' | 'denied' | 'no-driver';

export function probeTun(path = '/dev/net/tun'): TunState {
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
    return 'ok';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'missing';
    return code === 'EACCES' || code === 'EPERM' ? 'denied' : 'no-driver';
  }
}
