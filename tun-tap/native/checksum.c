/* See checksum.h. */
#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

uint64_t checksum_add(const uint8_t *p, size_t len, uint64_t sum) {
  uint64_t a = 0, b = 0;
  while (len >= 16) {
    uint64_t x, y;
    memcpy(&x, p, 8);
    memcpy(&y, p + 8, 8);
    a += (x & 0xffffffffu) + (x >> 32);
    b += (y & 0xffffffffu) + (y >> 32);
    p += 16;
    len -= 16;
  }
  sum += a;
  sum = (sum & 0xffffffffu) + (sum >> 32) + (b & 0xffffffffu) + (b >> 32);
  while (len >= 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    sum += w;
    p += 2;
    len -= 2;
  }
  if (len) {
    uint8_t last[2] = {*p, 0};
    uint16_t w;
    memcpy(&w, last, 2);
    sum += w;
  }
  return sum;
}

uint16_t checksum_fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

uint64_t checksum_pseudo(const uint8_t *addresses, size_t address_len, uint8_t protocol, uint32_t length) {
  uint8_t tail[8] = {0};
  uint32_t be = htonl(length);
  memcpy(tail, &be, 4);
  tail[7] = protocol;
  return checksum_add(tail, sizeof tail, checksum_add(addresses, address_len * 2, 0));
}
