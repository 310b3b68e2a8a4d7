/**
 * Entry of the lab's helper process inside a namespace, started by probe-client.ts: pings, transfers and captures on
 * request. It never touches the agent.
 */
import { createSocket } from 'node:dgram';
import { Capture, type CaptureOptions } from './capture.ts';
import { type PingOptions, pingAll } from './ping.ts';
import { serveProbe } from './probe-server.ts';
import { type SendOptions, Sink, sendStream } from './transfer.ts';

const sink = new Sink();
let capture: Capture | null = null;

serveProbe({
  ping: (options: PingOptions) => pingAll(options),
  listen: (address: string) => sink.listen(address),
  received: () => sink.received(),
  send: (options: SendOptions) => sendStream(options),
  startCapture: (options: CaptureOptions) => {
    capture = new Capture(options);
  },
  stopCapture: () => capture?.stop(),
  datagram: sendOneDatagram,
});

interface Datagram {
  readonly address: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

async function sendOneDatagram({ address, port, bytes }: Datagram): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.send(bytes, port, address, (error) => (error === null ? resolve() : reject(error)));
  });
  socket.close();
}
