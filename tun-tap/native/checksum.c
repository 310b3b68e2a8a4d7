/* See checksum.h. */
#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

/*
 * The bulk of a sum: the 32-bit halves of 64-bit words, four words at a time, added up in lanes that cannot overflow. Written
 * as a vector, because gcc 12 puts an array of words on the stack in two stores and loads it in one, which stalls. The clone
 * for AVX2 is chosen when the addon is loaded; sanitizers cannot follow that choice and get the plain one.
 */
typedef uint64_t words __attribute__((vector_size(32), aligned(1), may_alias));

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(FUZZING)
__attribute__((target_clones("avx2", "default")))
#endif
static uint64_t sum_blocks(const uint8_t *p, size_t blocks) {
  words low = {0}, high = {0};
  for (size_t i = 0; i < blocks; i++, p += 32) {
    words w = *(const words *)p;
    low += w & 0xffffffffu;
    high += w >> 32;
  }
  low += high;
  uint64_t sum = 0;
  for (int k = 0; k < 4; k++) sum += (low[k] & 0xffffffffu) + (low[k] >> 32);
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
