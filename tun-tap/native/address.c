/* See address.h. */
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int address_parse(const char *text, uint16_t port, union address *out) {
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    return 1;
  }
  if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return 0;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(port);
  return 1;
}

int address_for(const union address *in, int family, union address *out) {
  if (in->any.sa_family == family) {
    *out = *in;
    return 1;
  }
  if (family != AF_INET6 || in->any.sa_family != AF_INET) return 0;
  memset(out, 0, sizeof *out);
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = in->v4.sin_port;
  memcpy(out->v6.sin6_addr.s6_addr, MAPPED, sizeof MAPPED);
  memcpy(out->v6.sin6_addr.s6_addr + 12, &in->v4.sin_addr, 4);
  return 1;
}

socklen_t address_len(const union address *a) {
  return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

void address_words(const union address *a, int32_t *words) {
  uint8_t ip[16];
  if (a->any.sa_family == AF_INET6) {
    memcpy(ip, a->v6.sin6_addr.s6_addr, 16);
    words[1] = ntohs(a->v6.sin6_port);
  } else {
    memcpy(ip, MAPPED, sizeof MAPPED);
    memcpy(ip + 12, &a->v4.sin_addr, 4);
    words[1] = ntohs(a->v4.sin_port);
  }
  words[0] = memcmp(ip, MAPPED, sizeof MAPPED) == 0 ? 4 : 6;
  for (int i = 0; i < 4; i++) {
    uint32_t w;
    memcpy(&w, ip + 4 * i, 4);
    words[2 + i] = (int32_t)ntohl(w);
  }
}

int address_from_words(const int32_t *words, union address *out) {
  uint8_t ip[16];
  if ((words[0] != 4 && words[0] != 6) || words[1] < 1 || words[1] > 65535) return 0;
  for (int i = 0; i < 4; i++) {
    uint32_t w = htonl((uint32_t)words[2 + i]);
    memcpy(ip + 4 * i, &w, 4);
  }
  memset(out, 0, sizeof *out);
  if (words[0] == 4) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)words[1]);
    memcpy(&out->v4.sin_addr, ip + 12, 4);
  } else {
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons((uint16_t)words[1]);
    memcpy(out->v6.sin6_addr.s6_addr, ip, 16);
  }
  return 1;
}
