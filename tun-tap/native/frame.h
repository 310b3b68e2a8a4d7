/*
 * What an Ethernet frame says about itself, read without trusting a byte of it: at most two VLAN tags (802.1Q, 802.1ad),
 * IPv4 or IPv6 with a bounded chain of extension headers, TCP or UDP in a first fragment whose header lies inside the
 * frame. Pure C without Node, so that it can be fuzzed alone.
 */
#ifndef TUN_TAP_FRAME_H
#define TUN_TAP_FRAME_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* Linux 6.2; headers of Debian 12 are older */
#endif

struct frame_view {
  uint16_t l3;        /* offset of the IP header from the frame's start */
  uint16_t l4;        /* offset of the TCP or UDP header */
  uint16_t header;    /* offset of the payload */
  uint16_t ip_len;    /* bytes from l3 to the packet's end as IP says, at most what the frame holds */
  uint8_t version;    /* 4 or 6 */
  uint8_t protocol;   /* 6 or 17 */
  uint8_t fragment;   /* 1: a fragment (the first one); its L4 checksum covers more than this frame */
};

/* 1 if the frame carries TCP or UDP as described above. */
int frame_parse(const uint8_t *frame, size_t len, struct frame_view *out);
/* Offset of the checksum field from the L4 header. */
static inline uint16_t frame_checksum_offset(uint8_t protocol) { return protocol == 6 ? 16 : 6; }
/* Unfolded pseudo-header sum for the L4 length that IP states. */
uint64_t frame_pseudo(const uint8_t *frame, const struct frame_view *v);
/* A 32-bit hash of addresses, protocol and ports (or of the MACs when there are none), the same for every frame of a flow. */
uint32_t frame_flow_hash(const uint8_t *frame, size_t len);

#endif
