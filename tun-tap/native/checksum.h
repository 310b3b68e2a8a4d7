/*
 * The Internet checksum (RFC 1071), over any alignment. Sums are kept unfolded and in host order of 16-bit words as they
 * lie in memory, so a folded sum is stored back with memcpy and needs no byte swap (RFC 1071 §2(B)).
 */
#ifndef TUN_TAP_CHECKSUM_H
#define TUN_TAP_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds `len` bytes to `sum`. An odd last byte counts as the first half of a word. */
uint64_t checksum_add(const uint8_t *p, size_t len, uint64_t sum);
/* 16-bit one's complement sum, not inverted. */
uint16_t checksum_fold(uint64_t sum);
/* The pseudo-header of RFC 793/768 (v4: 4-byte addresses) or RFC 8200 §8.1 (v6: 16); `addresses` is source then destination. */
uint64_t checksum_pseudo(const uint8_t *addresses, size_t address_len, uint8_t protocol, uint32_t length);

#endif
