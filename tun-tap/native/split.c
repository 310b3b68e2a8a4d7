/* See split.h. */
#include "split.h"

#include "checksum.h"

#include <string.h>

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

static void put16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v) {
  put16(p, v >> 16);
  put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return get16(p) << 16 | get16(p + 2); }

/* A 16-bit field as the checksum adds it: in memory order. */
static uint64_t word(uint32_t v) {
  uint8_t b[2];
  uint16_t w;
  put16(b, v);
  memcpy(&w, b, 2);
  return w;
}

static int type_fits(uint8_t gso_type, const struct frame_view *v) {
  switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4: return v->protocol == 6 && v->version == 4;
    case VIRTIO_NET_HDR_GSO_TCPV6: return v->protocol == 6 && v->version == 6;
    case VIRTIO_NET_HDR_GSO_UDP_L4: return v->protocol == 17;
    default: return 0;
  }
}

/* What every segment's checksums share. */
static void base_sums(struct split *s) {
  const struct frame_view *v = &s->view;
  uint8_t l4[64];
  size_t n = (size_t)v->header - v->l4;
  if (v->version == 4) {
    uint8_t ip[60];
    size_t ihl = (size_t)v->l4 - v->l3;
    memcpy(ip, s->header + v->l3, ihl);
    memset(ip + 2, 0, 4);
    memset(ip + 10, 0, 2);
    s->ip_sum = checksum_add(ip, ihl, 0);
    s->id = (uint16_t)get16(s->header + v->l3 + 4);
    s->l4_sum = checksum_pseudo(s->header + v->l3 + 12, 4, v->protocol, 0);
  } else {
    s->l4_sum = checksum_pseudo(s->header + v->l3 + 8, 16, v->protocol, 0);
  }
  memcpy(l4, s->header + v->l4, n);
  if (v->protocol == 6) {
    s->sequence = get32(l4 + 4);
    s->flags = l4[13];
    memset(l4 + 4, 0, 4);
    l4[13] = 0;
    memset(l4 + 16, 0, 2);
  } else {
    memset(l4 + 4, 0, 4);
  }
  s->l4_sum = checksum_add(l4, n, s->l4_sum);
}

int split_plan(struct split *s, const uint8_t *f, size_t len, const struct virtio_net_hdr *h, size_t max_packet) {
  struct frame_view *v = &s->view;
  if (!frame_parse(f, len, v) || v->fragment || !type_fits(h->gso_type, v) || h->gso_size == 0) return 0;
  if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->csum_start != v->l4 ||
      h->csum_offset != frame_checksum_offset(v->protocol))
    return 0;
  size_t end = (size_t)v->l3 + v->ip_len, headers = (size_t)v->header - v->l3;
  if (v->header > SPLIT_MAX_HEADER || end != len || end <= v->header) return 0;
  s->payload = (uint32_t)(end - v->header);
  s->size = h->gso_size;
  if (max_packet && headers + s->size > max_packet) {
    if (v->protocol == 17 || max_packet < headers + 8) return 0;
    s->size = (uint32_t)(max_packet - headers);
  }
  s->segments = (s->payload + s->size - 1) / s->size;
  if (s->segments > SPLIT_MAX_SEGMENTS) return 0;
  memcpy(s->header, f, v->header);
  base_sums(s);
  return 1;
}

void split_stamp(const struct split *s, uint32_t i, uint8_t *to, const uint8_t *payload) {
  const struct frame_view *v = &s->view;
  size_t n;
  split_payload(s, i, &n);
  uint8_t *ip = to + v->l3, *l4 = to + v->l4;
  uint32_t l4_len = (uint32_t)(v->header - v->l4 + n);
  memcpy(to, s->header, v->header);
  if (v->version == 4) {
    uint32_t total = (uint32_t)(v->l4 - v->l3) + l4_len, id = (uint16_t)(s->id + i);
    put16(ip + 2, total);
    put16(ip + 4, id);
    uint16_t sum = (uint16_t)~checksum_fold(s->ip_sum + word(total) + word(id));
    memcpy(ip + 10, &sum, 2);
  } else {
    put16(ip + 4, (uint32_t)(v->l4 - v->l3) - 40 + l4_len);
  }
  uint64_t fields = 0;
  if (v->protocol == 6) {
    uint32_t sequence = s->sequence + i * s->size;
    uint8_t flags = s->flags;
    if (i > 0) flags &= (uint8_t)~TCP_CWR;
    if (i + 1 < s->segments) flags &= (uint8_t)~(TCP_FIN | TCP_PSH);
    put32(l4 + 4, sequence);
    l4[13] = flags;
    fields = word(sequence >> 16) + word(sequence & 0xffff) + word(flags);
  } else {
    put16(l4 + 4, l4_len);
    fields = word(l4_len);
  }
  if (!payload) return;
  /* RFC 768: a computed zero is sent as all ones; for TCP both mean the same. */
  uint16_t sum = (uint16_t)~checksum_fold(checksum_add(payload, n, s->l4_sum + fields + word(l4_len)));
  if (sum == 0 && v->protocol == 17) sum = 0xffff;
  memcpy(l4 + frame_checksum_offset(v->protocol), &sum, 2);
}
