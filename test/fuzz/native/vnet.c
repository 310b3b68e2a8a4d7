/*
 * The virtio-net headers that the receiver makes: partial checksums described, what a plain peer left unfinished
 * recognised, segment sizes learned from SYNs; and the checksum that the transmitter finishes.
 *
 * Input: verb, MTU, checksum start and offset, then frames behind their lengths, all through one MSS cache. What must hold: a
 * header points inside the frame; its segment size is at least 8 bytes of payload and never more than the MTU takes; a
 * super-frame with that header is one that split.c, the transmitter of the other side, takes as well.
 */
#include "../../../tun-tap/native/checksum.h"
#include "../../../tun-tap/native/repair.h"
#include "../../../tun-tap/native/split.h"
#include "input.h"

enum verb { PARTIAL, PLAIN, COMPLETE, LEARN, VERBS };

static struct mss_cache cache;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct virtio_net_hdr *h, const uint8_t *frame, size_t len, size_t mtu) {
  struct frame_view v;
  struct split s;
  if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) MUST((size_t)h->csum_start + h->csum_offset + 2 <= len);
  if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE) return;
  MUST(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
  MUST(frame_parse(frame, len, &v));
  MUST(h->gso_size >= 8 && (size_t)h->gso_size + v.header - v.l3 <= mtu);
  MUST(h->hdr_len == v.header);
  /* Padding behind the packet, long headers and a packet without payload are what only the kernel is left to judge. */
  int cut = split_plan(&s, frame, len, h, mtu);
  MUST(cut || (size_t)v.l3 + v.ip_len != len || v.header > SPLIT_MAX_HEADER || v.header == len ||
       (len - v.header) / h->gso_size >= SPLIT_MAX_SEGMENTS);
}

static void one(uint32_t verb, uint8_t *frame, size_t len, size_t mtu, uint16_t start, uint16_t offset) {
  struct virtio_net_hdr h = {0};
  struct frame_view v;
  switch (verb) {
    case PARTIAL:
      if (repair_partial(frame, len, &h)) {
        MUST(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
        check_header(&h, frame, len, 65535);
        MUST(repair_complete(frame, len, h.csum_start, h.csum_offset));
        MUST(frame_parse(frame, len, &v));
        if ((size_t)v.l3 + v.ip_len == len)
          MUST(checksum_fold(checksum_add(frame + v.l4, len - v.l4, frame_pseudo(frame, &v))) == 0xffff);
      }
      break;
    case PLAIN:
      if (repair_plain(&cache, frame, len, mtu, &h)) check_header(&h, frame, len, mtu);
      break;
    case COMPLETE: repair_complete(frame, len, start, offset); break;
    default: mss_learn(&cache, frame, len); break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {data, size};
  memset(&cache, 0, sizeof cache);
  do {
    uint32_t verb = input_u8(&in) % VERBS;
    size_t mtu = input_u16(&in), len;
    uint16_t start = (uint16_t)input_u16(&in), offset = (uint16_t)input_u8(&in);
    uint8_t *frame = input_bytes(&in, input_u16(&in), &len);
    one(verb, frame, len, mtu, start, offset);
    free(frame);
  } while (in.left > 0);
  return 0;
}
