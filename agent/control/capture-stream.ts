/**
 * The answer to `GET /v1/capture`: NDJSON until the caller goes or the agent stops. A caller that reads slowly loses records and is
 * told how many; nothing waits for it in the agent's memory. Called by server.ts.
 */
import type { ServerResponse } from 'node:http';
import type { AgentView } from './api-types.ts';

/** What may wait in a connection that is not read, in bytes. */
const MAX_WAITING_BYTES = 4_194_304;
export const DEFAULT_SNAP_BYTES = 2048;

/** @throws WeftError E_REFUSED */
export function streamCapture(view: AgentView, response: ServerResponse, snapBytes: number): void {
  let head = false;
  const stop = view.capture(snapBytes === 0 ? DEFAULT_SNAP_BYTES : snapBytes, (lines) => {
    if (response.destroyed || response.writableLength > MAX_WAITING_BYTES) return false;
    if (!head)
      response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    head = true;
    response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return true;
  });
  response.on('close', stop);
}
