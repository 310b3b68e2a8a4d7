/*
 * Cutting a super-frame. Input: flags, gso type, gso size, packet limit, the frame; bit 0 of the flags says that the virtio
 * header points at the checksum as the parser does, so that the fuzzer need not guess two numbers to get past the door.
 *
 * What must hold of the segments: each is a frame that says its own length, none has more payload than the size asked for
 * or is larger than the limit, the payloads in order are the super-frame's, and finished checksums are right.
 */
#include "../../../tun-tap/native/checksum.h"
#include "../../../tun-tap/native/split.h"
#include "input.h"

#define POINTS_AT_CHECKSUM 1
#define NEEDS_CSUM 2
#define COMPLETE 4
#define ENTRIES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One segment as the transmitter would put it on the wire. */
static void check_segment(const struct split *s, uint32_t i, const uint8_t *frame, size_t max_packet, int complete) {
  size_t n, at = split_payload(s, i, &n);
  size_t len = s->view.header + n;
  uint8_t *segment = malloc(len);
  struct frame_view v;
  if (!segment) abort();
  MUST(n > 0 && n <= s->size);
  memcpy(segment + s->view.header, frame + at, n);
  split_stamp(s, i, segment, complete ? segment + s->view.header : NULL);
  MUST(frame_parse(segment, len, &v));
  MUST(v.l4 == s->view.l4 && v.header == s->view.header && !v.fragment);
  MUST((size_t)v.l3 + v.ip_len == len);
  MUST(max_packet == 0 || v.ip_len <= max_packet);
  if (v.version == 4) MUST(checksum_fold(checksum_add(segment + v.l3, (size_t)v.l4 - v.l3, 0)) == 0xffff);
  if (complete) MUST(checksum_fold(checksum_add(segment + v.l4, len - v.l4, frame_pseudo(segment, &v))) == 0xffff);
  free(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {data, size};
  struct virtio_net_hdr h = {0};
  struct split s;
  struct frame_view v;
  uint32_t flags = input_u8(&in);
  h.gso_type = (uint8_t)input_u8(&in);
  h.gso_size = (uint16_t)input_u16(&in);
  size_t max_packet = input_u16(&in), len;
  if (flags & NEEDS_CSUM) h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  uint32_t start = flags & POINTS_AT_CHECKSUM ? 0 : input_u16(&in);
  uint32_t offset = flags & POINTS_AT_CHECKSUM ? 0 : input_u8(&in);
  uint8_t *frame = input_bytes(&in, in.left, &len);
  if ((flags & POINTS_AT_CHECKSUM) && frame_parse(frame, len, &v)) {
    start = v.l4;
    offset = frame_checksum_offset(v.protocol);
  }
  h.csum_start = (uint16_t)start;
  h.csum_offset = (uint16_t)offset;
  if (split_plan(&s, frame, len, &h, max_packet)) {
    MUST(s.segments > 0 && s.segments <= SPLIT_MAX_SEGMENTS);
    MUST(s.size <= h.gso_size);
    size_t total = 0;
    for (uint32_t i = 0; i < s.segments; i++) {
      size_t n;
      MUST(split_payload(&s, i, &n) == s.view.header + total);
      total += n;
    }
    MUST(s.view.header + total == len);
    /* All of a long run would be slow and show nothing new: its beginning, and its last. */
    for (uint32_t i = 0; i < s.segments && i < ENTRIES; i++) check_segment(&s, i, frame, max_packet, flags & COMPLETE);
    check_segment(&s, s.segments - 1, frame, max_packet, flags & COMPLETE);
  }
  free(frame);
  return 0;
}
