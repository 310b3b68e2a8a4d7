/* See checksum.h. */
#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

/*
 * The bulk of a sum: 32-bit words into four 64-bit lanes, a form that compilers turn into vectors. The clone for AVX2 is
 * chosen when the addon is loaded; sanitizers cannot follow that choice and get the plain one.
 */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(FUZZING)
__attribute__((target_clones("avx2", "default")))
#endif
static uint64_t sum_blocks(const uint8_t *p, size_t blocks) {
  uint64_t lanes[8] = {0};
  for (size_t i = 0; i < blocks; i++, p += 32) {
    uint32_t w[8];
    memcpy(w, p, sizeof w);
    for (int k = 0; k < 8; k++) lanes[k] += w[k];
  }
  uint64_t sum = 0;
  for (int k = 0; k < 8; k++) sum += (lanes[k] & 0xffffffffu) + (lanes[k] >> 32);
  return sum;
}

uint64_t checksum_add(const uint8_t *p, size_t len, uint64_t sum) {
  if (len >= 32) {
    size_t blocks = len / 32;
    sum += sum_blocks(p, blocks);
    p += blocks * 32;
    len -= blocks * 32;
  }
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
