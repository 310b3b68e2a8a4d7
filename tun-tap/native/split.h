/*
 * Cutting a super-frame (a TCP or UDP frame of up to 64 KiB that the TAP hands over with a virtio-net GSO header) into
 * frames of wire size. The plan is made once; each segment's headers are then stamped where the caller wants them.
 *
 *   super-frame:  | Eth | IP | TCP | payload 0 | payload 1 | ... | payload n-1 |
 *   segment i:                | Eth | IP | TCP | payload i |
 *
 * TCP: sequence numbers advance by the segment size; FIN and PSH stay on the last segment, CWR on the first (RFC 3168
 * §6.1.2). IPv4: total length, identification + i, header checksum. IPv6: payload length. UDP: length. Checksums of the
 * fourth layer are finished only if asked for; under a seal they travel partial. Nothing the virtio header says about
 * lengths is believed (its hdr_len is wrong on forwarded packets; wireguard-go tun/tun_linux.go says why): offsets come
 * from the parser. Pure C without Node.
 */
#ifndef TUN_TAP_SPLIT_H
#define TUN_TAP_SPLIT_H

#include "frame.h"

#include <linux/virtio_net.h>

#define SPLIT_MAX_SEGMENTS 2048
#define SPLIT_MAX_HEADER 240

struct split {
  struct frame_view view;
  uint32_t segments;
  uint32_t size;    /* payload bytes of each segment but the last */
  uint32_t payload; /* payload bytes of all */
  uint64_t ip_sum;  /* IPv4 header without length, identification and checksum */
  uint64_t l4_sum;  /* L4 header as every segment has it, and the pseudo-header without its length */
  uint32_t sequence;
  uint16_t id;
  uint8_t flags;
  uint8_t header[SPLIT_MAX_HEADER];
};

/*
 * Plans the cut. max_packet is the largest IP packet that may result (0: no limit): TCP segments become smaller for it,
 * UDP datagrams keep their borders and are refused. 1 on success; 0 for a header that does not describe the frame.
 */
int split_plan(struct split *s, const uint8_t *frame, size_t len, const struct virtio_net_hdr *h, size_t max_packet);

/* Payload of segment i: its offset in the super-frame; *len is set to its length. */
static inline size_t split_payload(const struct split *s, uint32_t i, size_t *len) {
  size_t at = (size_t)i * s->size, left = s->payload - at;
  *len = left < s->size ? left : s->size;
  return s->view.header + at;
}

/*
 * Writes the headers of segment i (view.header bytes) to `to`. `payload` is the segment's payload if the L4 checksum is to
 * be finished, NULL to leave its field as the super-frame has it.
 */
void split_stamp(const struct split *s, uint32_t i, uint8_t *to, const uint8_t *payload);

#endif
