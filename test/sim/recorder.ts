/**
 * The last datagrams of a run, told in words when it fails: time, sender, receiver and every message. Kept as bytes until
 * then, for most runs do not fail.
 */
import { BOX_HEADER_BYTES, decodeInner, type Message, TYPE_INTRO } from '../../gossip/codec.ts';
import { numberOf } from './cheap-parts.ts';
import type { World } from './world.ts';

const KEPT = 20_000;
const TAG_BYTES = 16;

interface Kept {
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

const hostIn = (bytes: Uint8Array, at: number): number =>
  numberOf(Buffer.from(bytes.subarray(at, at + 32)).toString('hex'));

function tell(m: Message): string {
  switch (m.type) {
    case 'record': {
      const view = new DataView(m.record.buffer, m.record.byteOffset);
      const number = `${view.getBigUint64(32)}.${view.getUint32(40)}`;
      return `record(${hostIn(m.record, 0)} ${number}${m.record[44] === 1 ? ' left' : ''})`;
    }
    case 'suspect': {
      const view = new DataView(m.accusation.buffer, m.accusation.byteOffset);
      return `suspect(${hostIn(m.accusation, 32)} ${view.getBigUint64(64)} by ${hostIn(m.accusation, 0)})`;
    }
    case 'ping':
    case 'ack':
      return `${m.type}(${(m.probe & 0xffffn).toString(16)})`;
    case 'pingReq':
      return `ping-req(${numberOf(m.target)})`;
    case 'boot':
      return `boot(${m.mine}, yours ${m.yours})`;
    case 'summary':
      return `summary(${m.entries.length})`;
    case 'want':
      return `want(${m.ids.length})`;
    default:
      return m.type;
  }
}

export class Recorder {
  readonly #kept: Kept[] = [];
  #next = 0;

  constructor(world: World) {
    world.onSend = ({ from, to, bytes }) => {
      this.#kept[this.#next] = { atMs: world.nowMs, from, to, bytes };
      this.#next = (this.#next + 1) % KEPT;
    };
  }

  /** The last `most` datagrams from, to or about one of these hosts, oldest first. */
  lines(hosts: readonly number[], most: number): string[] {
    const inOrder = [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)];
    return inOrder
      .flatMap((kept) => {
        const messages = messagesOf(kept.bytes);
        const text = `${(kept.atMs / 1000).toFixed(3)} ${kept.from} > ${kept.to} ${messages.join(' ')}`;
        const about = messages.some((m) =>
          hosts.some((n) => new RegExp(`^(record|suspect|ping-req)\\(${n}\\b`).test(m)),
        );
        return about || hosts.includes(kept.from) || hosts.includes(kept.to) ? [text] : [];
      })
      .slice(-most);
  }
}

function messagesOf(bytes: Uint8Array): string[] {
  if (bytes[0] === TYPE_INTRO) return ['introduction'];
  return decodeInner(bytes.subarray(BOX_HEADER_BYTES + TAG_BYTES))?.messages.map(tell) ?? ['?'];
}
