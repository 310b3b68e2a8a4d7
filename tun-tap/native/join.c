/* See join.h. */
#include "join.h"

#include "checksum.h"
#include "repair.h"

#include <string.h>

#define TCP_ACK 0x10
#define TCP_PSH 0x08
#define MAX_PACKET 65535
#define PORT_VXLAN 4789
#define PORT_GENEVE 6081

static uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return get16(p) << 16 | get16(p + 2); }

static void put16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static int tunnel_port(uint32_t port) { return port == PORT_VXLAN || port == PORT_GENEVE; }

/* Whether a frame may be part of any run: plain headers, no tag, no padding, TCP with data or UDP with data. */
static int candidate(const uint8_t *f, size_t len, const struct frame_view *v, int partial) {
  if (v->fragment || v->l3 != 14 || (size_t)v->l3 + v->ip_len != len || v->header >= len) return 0;
  if ((size_t)v->l4 - v->l3 != (v->version == 4 ? 20 : 40)) return 0;
  /* RFC 1122 §3.2.1.2: a wrong IPv4 header is its receiver's to discard; joining would repair it, partial or not. */
  if (v->version == 4 && checksum_fold(checksum_add(f + v->l3, 20, 0)) != 0xffff) return 0;
  if (v->protocol == 6) return (f[v->l4 + 13] & ~TCP_PSH) == TCP_ACK;
  uint32_t stated = get16(f + v->l4 + 4);
  if (stated != len - v->l4 || tunnel_port(get16(f + v->l4)) || tunnel_port(get16(f + v->l4 + 2))) return 0;
  return partial || get16(f + v->l4 + 6) != 0;
}

static int checksum_right(const uint8_t *f, size_t len, const struct frame_view *v) {
  return checksum_fold(checksum_add(f + v->l4, len - v->l4, frame_pseudo(f, v))) == 0xffff;
}

void join_begin(struct run *r, uint8_t *f, size_t len, int partial) {
  r->frame = f;
  r->len = len;
  r->segments = 1;
  r->partial = (uint8_t)partial;
  r->proven = (uint8_t)partial;
  r->open = 0;
  r->push = 0;
  if (!frame_parse(f, len, &r->view) || !candidate(f, len, &r->view, partial)) return;
  const struct frame_view *v = &r->view;
  r->size = r->payload = (uint32_t)(len - v->header);
  r->open = 1;
  if (v->version == 4) r->next_id = (uint16_t)(get16(f + v->l3 + 4) + 1);
  if (v->protocol == 6) {
    r->next_sequence = get32(f + v->l4 + 4) + r->size;
    if (f[v->l4 + 13] & TCP_PSH) r->open = 0;
  }
}

/* All header bytes that a cut leaves alone, compared in runs between the ones that it changes. */
static int same_headers(const struct run *r, const uint8_t *f) {
  const struct frame_view *v = &r->view;
  const uint8_t *a = r->frame, *ip = f + v->l3, *l4 = f + v->l4, *first_ip = a + v->l3, *first_l4 = a + v->l4;
  if (memcmp(a, f, v->l3) != 0) return 0;
  if (v->version == 4) {
    /* version, IHL, ToS | (length, id) | flags, offset, TTL, protocol | (checksum) | addresses */
    if (memcmp(first_ip, ip, 2) != 0 || memcmp(first_ip + 6, ip + 6, 4) != 0 || memcmp(first_ip + 12, ip + 12, 8) != 0)
      return 0;
    if (!(ip[6] & 0x40) && get16(ip + 4) != r->next_id) return 0;
  } else if (memcmp(first_ip, ip, 4) != 0 || memcmp(first_ip + 6, ip + 6, 34) != 0) {
    return 0;
  }
  if (memcmp(first_l4, l4, 4) != 0) return 0;
  if (v->protocol == 17) return 1;
  /* ports | (sequence) | ack, data offset | (flags) | window | (checksum) | urgent pointer, options */
  return memcmp(first_l4 + 8, l4 + 8, 5) == 0 && memcmp(first_l4 + 14, l4 + 14, 2) == 0 &&
         memcmp(first_l4 + 18, l4 + 18, (size_t)v->header - v->l4 - 18) == 0;
}

size_t join_extend(struct run *r, const uint8_t *f, size_t len, int partial) {
  struct frame_view v;
  const struct frame_view *first = &r->view;
  if (!r->open || partial != r->partial || r->segments == JOIN_MAX_SEGMENTS || len <= first->header) return 0;
  size_t n = len - first->header;
  if (n > r->size || (size_t)first->header - first->l3 + r->payload + n > MAX_PACKET) return 0;
  if (!frame_parse(f, len, &v) || v.version != first->version || v.protocol != first->protocol ||
      v.l4 != first->l4 || v.header != first->header || !candidate(f, len, &v, partial) || !same_headers(r, f))
    return 0;
  int push = 0;
  if (v.protocol == 6) {
    if (get32(f + v.l4 + 4) != r->next_sequence) return 0;
    push = (f[v.l4 + 13] & TCP_PSH) != 0;
  }
  if (!partial) {
    if (!r->proven && !checksum_right(r->frame, r->len, first)) {
      r->open = 0;
      return 0;
    }
    r->proven = 1;
    if (!checksum_right(f, len, &v)) return 0;
  }
  r->segments++;
  r->payload += (uint32_t)n;
  r->next_sequence += (uint32_t)n;
  r->next_id++;
  r->push |= (uint8_t)push;
  if (push || n < r->size) r->open = 0;
  return v.header;
}

int join_finish(struct run *r, struct virtio_net_hdr *h) {
  memset(h, 0, sizeof *h);
  if (r->segments == 1) return !r->partial || repair_partial(r->frame, r->len, h);
  struct frame_view *v = &r->view;
  uint8_t *ip = r->frame + v->l3, *l4 = r->frame + v->l4;
  uint32_t packet = (uint32_t)(v->header - v->l3) + r->payload;
  if (v->version == 4) {
    put16(ip + 2, packet);
    memset(ip + 10, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(ip, 20, 0));
    memcpy(ip + 10, &sum, 2);
  } else {
    put16(ip + 4, packet - 40);
  }
  v->ip_len = (uint16_t)packet;
  if (v->protocol == 17) put16(l4 + 4, packet - (uint32_t)(v->l4 - v->l3));
  else if (r->push) l4[13] |= TCP_PSH;
  uint16_t pseudo = checksum_fold(frame_pseudo(r->frame, v));
  memcpy(l4 + frame_checksum_offset(v->protocol), &pseudo, 2);
  h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  h->csum_start = v->l4;
  h->csum_offset = frame_checksum_offset(v->protocol);
  h->hdr_len = v->header;
  h->gso_size = (uint16_t)r->size;
  h->gso_type = v->protocol == 17   ? VIRTIO_NET_HDR_GSO_UDP_L4
                : v->version == 4   ? VIRTIO_NET_HDR_GSO_TCPV4
                                    : VIRTIO_NET_HDR_GSO_TCPV6;
  return 1;
}
