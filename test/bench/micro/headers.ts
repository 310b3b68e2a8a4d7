/** Encapsulation headers, written and read in place once per frame. */
import { bench, do_not_optimize, group } from 'mitata';
import { decodeGeneve, encodeGeneve } from '../../../agent/datapath/geneve.ts';
import { decodeVxlan, encodeVxlan } from '../../../agent/datapath/vxlan.ts';

const FRAME_BYTES = 1500;
const VNI = 0x123456;

export function benchHeaders(): void {
  const bytes = new Uint8Array(FRAME_BYTES);
  const vxlan = new Uint8Array(FRAME_BYTES);
  const geneve = new Uint8Array(FRAME_BYTES);
  const fields = { vni: 0, headerBytes: 0 };
  encodeVxlan(vxlan, 0, VNI);
  encodeGeneve(geneve, 0, VNI);
  group('encapsulation headers', () => {
    bench('write VXLAN', () => {
      encodeVxlan(bytes, 0, VNI);
      do_not_optimize(bytes);
    }).gc('once');
    bench('read VXLAN', () => do_not_optimize(decodeVxlan(vxlan, 0, FRAME_BYTES))).gc('once');
    bench('write Geneve', () => {
      encodeGeneve(bytes, 0, VNI);
      do_not_optimize(bytes);
    }).gc('once');
    bench('read Geneve', () => {
      do_not_optimize(decodeGeneve(geneve, 0, FRAME_BYTES, fields));
      do_not_optimize(fields);
    }).gc('once');
  });
}
