/*
 * The virtio-net header for a frame that is about to be written to a TAP: none, a partial checksum, or a super-frame.
 *
 * Between two sealed peers the inner checksum may be left partial (the AEAD proves every byte). In plain mode the kernel
 * hands over what it never finished: a VXLAN device over veth passes on frames whose checksum field holds only the
 * pseudo-header sum, and TCP super-frames of up to 64 KiB. Both are recognised and described to the TAP so that the
 * receiving stack finishes them.
 */
#ifndef TUN_TAP_REPAIR_H
#define TUN_TAP_REPAIR_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include "frame.h"

#include <stdint.h>

#define MSS_CACHE_ENTRIES 1024 /* direct-mapped by flow hash; a collision costs a smaller segment size, nothing else */

struct mss_cache {
  struct mss_entry {
    uint32_t hash;
    uint16_t mss;
  } at[MSS_CACHE_ENTRIES];
};

/* Remembers the MSS option of a SYN for its flow (either direction: the smaller one counts). */
void mss_learn(struct mss_cache *cache, const uint8_t *frame, size_t len);
/* Sealed peer says the checksum is partial: writes the pseudo-header sum, fills `h`. 0 if the frame cannot be parsed. */
int repair_partial(uint8_t *frame, size_t len, struct virtio_net_hdr *h);
/* Plain receive: fills `h` for an incomplete checksum or a frame above `mtu` (L3 bytes). 0 if it cannot be delivered. */
int repair_plain(struct mss_cache *cache, uint8_t *frame, size_t len, size_t mtu, struct virtio_net_hdr *h);
/* Plain receive of a UDP super-frame whose datagrams have `size` payload bytes. 0 if it cannot be delivered. */
int repair_datagrams(uint8_t *frame, size_t len, size_t mtu, size_t size, struct virtio_net_hdr *h);
/* Transmit towards a plain endpoint: completes the checksum that csum_start and csum_offset describe. 0 if out of range. */
int repair_complete(uint8_t *frame, size_t len, uint16_t start, uint16_t offset);

#endif
