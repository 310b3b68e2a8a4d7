/* See frame.h. */
#include "frame.h"

#include "checksum.h"

#include <string.h>

#define MAX_TAGS 2
#define MAX_EXTENSIONS 8

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

/* Offset of the network header and its ethertype, past at most two tags; 0 if the frame is too short. */
static size_t network_offset(const uint8_t *f, size_t len, uint16_t *type) {
  size_t at = 12;
  for (int tags = 0;; tags++) {
    if (len < at + 2) return 0;
    *type = be16(f + at);
    if ((*type != 0x8100 && *type != 0x88a8) || tags == MAX_TAGS) return at + 2;
    at += 4;
  }
}

static int parse_v4(const uint8_t *f, size_t len, size_t l3, struct frame_view *v) {
  if (len < l3 + 20 || f[l3] >> 4 != 4) return 0;
  size_t ihl = (size_t)(f[l3] & 15) * 4, total = be16(f + l3 + 2);
  uint16_t fragment = be16(f + l3 + 6);
  if (ihl < 20 || total < ihl || l3 + total > len || (fragment & 0x1fff)) return 0;
  v->fragment = (fragment & 0x2000) != 0;
  v->protocol = f[l3 + 9];
  v->l4 = (uint16_t)(l3 + ihl);
  v->ip_len = (uint16_t)total;
  return 1;
}

static int parse_v6(const uint8_t *f, size_t len, size_t l3, struct frame_view *v) {
  if (len < l3 + 40 || f[l3] >> 4 != 6) return 0;
  size_t end = l3 + 40 + be16(f + l3 + 4), at = l3 + 40;
  uint8_t next = f[l3 + 6];
  if (end > len || end - l3 > 0xffff) return 0;
  v->fragment = 0;
  for (int i = 0; i < MAX_EXTENSIONS; i++) {
    if (at > end) return 0; /* an extension header longer than the packet */
    if (next == 6 || next == 17) {
      v->protocol = next;
      v->l4 = (uint16_t)at;
      v->ip_len = (uint16_t)(end - l3);
      return 1;
    }
    if (at + 8 > end) return 0;
    if (next == 44) { /* fragment header: only the first one carries the L4 header */
      if (be16(f + at + 2) & 0xfff8) return 0;
      v->fragment = 1;
      next = f[at];
      at += 8;
    } else if (next == 0 || next == 43 || next == 60) { /* hop-by-hop, routing, destination options */
      next = f[at];
      at += 8 + (size_t)f[at + 1] * 8;
    } else {
      return 0;
    }
  }
  return 0;
}

int frame_parse(const uint8_t *f, size_t len, struct frame_view *v) {
  uint16_t type;
  size_t l3 = network_offset(f, len, &type);
  if (!l3 || len > 0x10000 + 64) return 0;
  v->l3 = (uint16_t)l3;
  if (type == 0x0800) {
    v->version = 4;
    if (!parse_v4(f, len, l3, v)) return 0;
  } else if (type == 0x86dd) {
    v->version = 6;
    if (!parse_v6(f, len, l3, v)) return 0;
  } else {
    return 0;
  }
  size_t end = l3 + v->ip_len;
  if (v->protocol == 6) {
    if (end < (size_t)v->l4 + 20) return 0;
    size_t header = (size_t)(f[v->l4 + 12] >> 4) * 4;
    if (header < 20 || v->l4 + header > end) return 0;
    v->header = (uint16_t)(v->l4 + header);
  } else if (v->protocol == 17) {
    if (end < (size_t)v->l4 + 8) return 0;
    v->header = (uint16_t)(v->l4 + 8);
  } else {
    return 0;
  }
  return 1;
}

uint64_t frame_pseudo(const uint8_t *f, const struct frame_view *v) {
  uint32_t length = (uint32_t)(v->l3 + v->ip_len - v->l4);
  return v->version == 4 ? checksum_pseudo(f + v->l3 + 12, 4, v->protocol, length)
                         : checksum_pseudo(f + v->l3 + 8, 16, v->protocol, length);
}

/* Mixes one word (the finaliser of MurmurHash3 by Austin Appleby, public domain constants). */
static uint32_t mix(uint32_t h, uint32_t w) {
  h ^= w;
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  return h ^ (h >> 16);
}

uint32_t frame_flow_hash(const uint8_t *f, size_t len) {
  struct frame_view v;
  uint32_t h = 0, w;
  if (len < 14) return 0;
  if (frame_parse(f, len, &v) && !v.fragment) {
    size_t at = v.version == 4 ? v.l3 + 12u : v.l3 + 8u, n = v.version == 4 ? 8 : 32;
    for (size_t i = 0; i < n; i += 4) {
      memcpy(&w, f + at + i, 4);
      h = mix(h, w);
    }
    memcpy(&w, f + v.l4, 4);
    return mix(mix(h, w), v.protocol);
  }
  for (size_t i = 0; i < 12; i += 4) {
    memcpy(&w, f + i, 4);
    h = mix(h, w);
  }
  return h;
}
