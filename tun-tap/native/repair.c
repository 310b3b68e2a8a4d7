/* See repair.h. */
#include "repair.h"

#include "checksum.h"
#include "frame.h"

#include <string.h>

#define TCP_SYN 0x02

/* The flow's hash whatever the direction: addresses and ports are summed, not ordered. */
static uint32_t both_ways(const uint8_t *f, const struct frame_view *v) {
  uint64_t sum = v->version == 4 ? checksum_add(f + v->l3 + 12, 8, 0) : checksum_add(f + v->l3 + 8, 32, 0);
  return (uint32_t)(checksum_fold(checksum_add(f + v->l4, 4, sum)) * 0x9e3779b1u) | 1u;
}

static struct mss_entry *entry_of(struct mss_cache *cache, uint32_t hash) {
  return &cache->at[(hash >> 16) & (MSS_CACHE_ENTRIES - 1)];
}

/* The MSS option (kind 2, length 4) among a SYN's options; 0 if absent. */
static uint16_t mss_option(const uint8_t *f, const struct frame_view *v) {
  size_t at = v->l4 + 20u, end = v->header;
  while (at < end && f[at] != 0) {
    if (f[at] == 1) {
      at++;
      continue;
    }
    if (at + 2 > end || f[at + 1] < 2 || at + f[at + 1] > end) return 0;
    if (f[at] == 2 && f[at + 1] == 4) return (uint16_t)(f[at + 2] << 8 | f[at + 3]);
    at += f[at + 1];
  }
  return 0;
}

static void learn(struct mss_cache *cache, const uint8_t *f, const struct frame_view *v) {
  uint16_t mss = mss_option(f, v);
  if (!mss) return;
  uint32_t hash = both_ways(f, v);
  struct mss_entry *e = entry_of(cache, hash);
  if (e->hash != hash || mss < e->mss || !(f[v->l4 + 13] & 0x10)) *e = (struct mss_entry){hash, mss};
}

void mss_learn(struct mss_cache *cache, const uint8_t *f, size_t len) {
  struct frame_view v;
  if (frame_parse(f, len, &v) && v.protocol == 6 && (f[v.l4 + 13] & TCP_SYN)) learn(cache, f, &v);
}

static void store_pseudo(uint8_t *f, const struct frame_view *v) {
  uint16_t sum = checksum_fold(frame_pseudo(f, v));
  memcpy(f + v->l4 + frame_checksum_offset(v->protocol), &sum, 2);
}

static void needs_csum(const struct frame_view *v, struct virtio_net_hdr *h) {
  h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  h->csum_start = v->l4;
  h->csum_offset = frame_checksum_offset(v->protocol);
}

int repair_partial(uint8_t *f, size_t len, struct virtio_net_hdr *h) {
  struct frame_view v;
  if (!frame_parse(f, len, &v) || v.fragment) return 0;
  store_pseudo(f, &v);
  needs_csum(&v, h);
  return 1;
}

int repair_plain(struct mss_cache *cache, uint8_t *f, size_t len, size_t mtu, struct virtio_net_hdr *h) {
  struct frame_view v;
  if (!frame_parse(f, len, &v) || v.fragment) return len <= mtu + 22; /* nothing to repair, only to pass on */
  if (v.protocol == 6 && (f[v.l4 + 13] & TCP_SYN)) learn(cache, f, &v);
  uint16_t field, pseudo = checksum_fold(frame_pseudo(f, &v));
  memcpy(&field, f + v.l4 + frame_checksum_offset(v.protocol), 2);
  int incomplete = field == pseudo && !(v.protocol == 17 && field == 0);
  if (v.ip_len <= mtu) {
    if (incomplete) needs_csum(&v, h);
    return 1;
  }
  size_t headers = (size_t)v.header - v.l3, segment = mtu > headers ? mtu - headers : 0;
  if (v.protocol == 6) {
    uint32_t hash = both_ways(f, &v);
    const struct mss_entry *e = entry_of(cache, hash);
    /* RFC 9293 §3.7.1: the MSS option does not count TCP options, the segment size does. */
    size_t options = (size_t)v.header - v.l4 - 20;
    if (e->hash == hash && e->mss > options && e->mss - options < segment) segment = e->mss - options;
  }
  if (segment < 8) return 0;
  store_pseudo(f, &v);
  needs_csum(&v, h);
  h->gso_type = v.protocol == 17   ? VIRTIO_NET_HDR_GSO_UDP_L4
                : v.version == 4   ? VIRTIO_NET_HDR_GSO_TCPV4
                                   : VIRTIO_NET_HDR_GSO_TCPV6;
  h->gso_size = (uint16_t)segment;
  h->hdr_len = v.header;
  return 1;
}

int repair_datagrams(uint8_t *f, size_t len, size_t mtu, size_t size, struct virtio_net_hdr *h) {
  struct frame_view v;
  if (!frame_parse(f, len, &v) || v.fragment || v.protocol != 17 || size == 0 || size > 0xffff) return 0;
  if ((size_t)v.header - v.l3 + size > mtu) return 0;
  store_pseudo(f, &v);
  needs_csum(&v, h);
  h->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
  h->gso_size = (uint16_t)size;
  h->hdr_len = v.header;
  return 1;
}

int repair_complete(uint8_t *f, size_t len, uint16_t start, uint16_t offset) {
  if ((size_t)start + offset + 2 > len) return 0;
  uint16_t sum = (uint16_t)~checksum_fold(checksum_add(f + start, len - start, 0));
  /* RFC 768: a computed zero is sent as all ones; harmless for TCP, where both mean the same. */
  if (sum == 0) sum = 0xffff;
  memcpy(f + start + offset, &sum, 2);
  return 1;
}
