/*
 * AES-256-GCM of intel-ipsec-mb (https://github.com/intel/intel-ipsec-mb, Debian: libipsec-mb1), which computes four blocks
 * in one instruction where the CPU has VAES, and needs no look-ups by name for each packet. It is no requirement: the
 * addon knows the library's header when it is built (WEFT_IPSEC_MB), looks for the library when the first key is made, and
 * OpenSSL does the work where either is missing. Bytes are the same with both.
 *
 * The library is taken only if its version has the layout that the header describes, if its own self-test passed, and if
 * it agrees with OpenSSL on sealing and opening, and on refusing, for every kind of length.
 */
#ifndef TUN_TAP_IPSEC_MB_H
#define TUN_TAP_IPSEC_MB_H

#include <stddef.h>
#include <stdint.h>

/* Why the library is not in use, for people; NULL when it is. Looks for it at the first call; any thread may call. */
const char *ipsec_mb_missing(void);
/* Its version, such as "1.3.0"; only when ipsec_mb_missing() is NULL. */
const char *ipsec_mb_version(void);

struct gcm_key_data;

/* An expanded key, NULL when memory is short; only when ipsec_mb_missing() is NULL. */
struct gcm_key_data *ipsec_mb_key(const uint8_t key[32]);
/* Zeroes and frees. */
void ipsec_mb_key_free(struct gcm_key_data *key);

/* As aead_seal and aead_open, with the whole nonce. Opening gives 1 if the tag verifies. */
void ipsec_mb_seal(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, uint8_t *out);
int ipsec_mb_open(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *in, size_t len, uint8_t *out);

#endif
