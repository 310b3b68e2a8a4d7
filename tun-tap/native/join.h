/*
 * Joining received neighbours of one flow into a super-frame (generic receive offload, done here because the kernel cannot
 * look under a seal). A run is opened with its first frame; each following frame either belongs directly behind it or
 * ends it. At the end the first frame's headers are rewritten in place and the payloads stay where they are: the TAP takes
 * them as one writev.
 *
 * Two frames are neighbours only if the second would be cut from the joined one again exactly as it is (all header
 * bytes but lengths, sequence, identification and checksums equal; FIN, SYN, RST, URG, CWR never joined; nothing after PSH or
 * a short frame). Rules after nebula overlay/batch/coalesce_core.go and Linux net/ipv4/tcp_offload.c. A frame that is
 * not partial joins only if its checksums are right, so that damage done before the tunnel is handed on and not repaired.
 * Pure C without Node.
 */
#ifndef TUN_TAP_JOIN_H
#define TUN_TAP_JOIN_H

#include "frame.h"

#include <linux/virtio_net.h>

#define JOIN_MAX_SEGMENTS 64

struct run {
  uint8_t *frame; /* the first frame */
  size_t len;
  struct frame_view view;
  uint32_t segments, payload; /* payload: bytes of all segments */
  uint32_t size;              /* payload bytes of the first */
  uint32_t next_sequence;
  uint16_t next_id;
  uint8_t partial, open, proven, push;
};

/* Starts a run with a frame. It may stay alone; then `run->open` may be 0 at once. */
void join_begin(struct run *run, uint8_t *frame, size_t len, int partial);
/* Offset of the payload if the frame continues the run, which then holds it; 0 if it does not. */
size_t join_extend(struct run *run, const uint8_t *frame, size_t len, int partial);
/*
 * Rewrites the first frame's headers to cover the run and fills the virtio header. A run of one frame stays as it is, but
 * for the pseudo-header sum of a partial one. 0 if a partial frame has no checksum field to complete.
 */
int join_finish(struct run *run, struct virtio_net_hdr *h);

#endif
