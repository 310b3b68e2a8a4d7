/*
 * Authenticated encryption, one context per key and direction, made once; per packet only the nonce changes.
 *
 *   nonce (96 bits) = 32 zero bits || 64-bit counter, big endian; tag 16 bytes
 *
 * Suites: 1 ChaCha20-Poly1305 (RFC 8439), 2 AES-256-GCM (SP 800-38D). Two libraries compute them: the OpenSSL that Node itself
 * exports does both and is always there; intel-ipsec-mb (ipsec-mb.h) does AES-256-GCM faster where it is installed. Which of
 * them a key uses is settled when it is made. The same counter is never to be sealed twice under one key: the caller owns
 * the counter.
 */
#ifndef TUN_TAP_AEAD_H
#define TUN_TAP_AEAD_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES 32
#define AEAD_TAG_BYTES 16
#define SUITE_CHACHA20_POLY1305 1
#define SUITE_AES_256_GCM 2

struct aead;

/* NULL if the suite is unknown, a library refuses or memory is short. The key is copied, and zeroed when freed. */
struct aead *aead_new(int suite, const uint8_t key[AEAD_KEY_BYTES], int seal);
void aead_free(struct aead *a);
/* Seals `len` bytes of `in` to `out` (may be the same), the tag directly behind. 1 on success. */
int aead_seal(struct aead *a, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out);
/* Opens `len` bytes of ciphertext followed by the tag. 1 if the tag verifies; otherwise `out` holds nothing of use. */
int aead_open(struct aead *a, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out);

/* Whether keys made from now on may use intel-ipsec-mb; at first they may. For the whole process. */
void aead_allow_ipsec_mb(int allowed);
/* NULL when keys made now use it, else why not. */
const char *aead_without_ipsec_mb(void);

/* The same by OpenSSL alone. */
EVP_CIPHER_CTX *evp_new(int suite, const uint8_t key[AEAD_KEY_BYTES], int seal);
int evp_seal(EVP_CIPHER_CTX *ctx, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
             uint8_t *out);
int evp_open(EVP_CIPHER_CTX *ctx, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
             uint8_t *out);

#endif
