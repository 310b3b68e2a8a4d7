/*
 * The frame parser: whatever the bytes are, the offsets that it reports lie inside the frame and in their order, and sums
 * and hashes computed from them read nothing beyond it.
 */
#include "../../../tun-tap/native/checksum.h"
#include "../../../tun-tap/native/frame.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {data, size};
  size_t len;
  uint8_t *frame = input_bytes(&in, size, &len);
  struct frame_view v;
  if (frame_parse(frame, len, &v)) {
    MUST(v.version == 4 || v.version == 6);
    MUST(v.protocol == 6 || v.protocol == 17);
    MUST(v.l3 >= 14 && v.l3 <= 22);
    MUST(v.l4 >= v.l3 + (v.version == 4 ? 20 : 40));
    MUST(v.header >= v.l4 + (v.protocol == 6 ? 20 : 8));
    MUST(v.header <= v.l3 + v.ip_len);
    MUST((size_t)v.l3 + v.ip_len <= len);
    uint64_t pseudo = frame_pseudo(frame, &v);
    checksum_fold(checksum_add(frame + v.l4, (size_t)(v.l3 + v.ip_len - v.l4), pseudo));
  }
  MUST(frame_flow_hash(frame, len) == frame_flow_hash(frame, len));
  free(frame);
  return 0;
}
