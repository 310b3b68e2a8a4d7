/* See aead.h. */
#include "aead.h"

#include "ipsec-mb.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct aead {
  /* Exactly one of the two. */
  EVP_CIPHER_CTX *evp;
  struct gcm_key_data *fast;
};

static atomic_int allowed = 1;

static void nonce_of(uint64_t counter, uint8_t nonce[12]) {
  memset(nonce, 0, 4);
  for (int i = 0; i < 8; i++) nonce[4 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

EVP_CIPHER_CTX *evp_new(int suite, const uint8_t key[AEAD_KEY_BYTES], int seal) {
  const EVP_CIPHER *cipher = suite == SUITE_AES_256_GCM         ? EVP_aes_256_gcm()
                             : suite == SUITE_CHACHA20_POLY1305 ? EVP_chacha20_poly1305()
                                                                : NULL;
  if (!cipher) return NULL;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (!ctx) return NULL;
  if (EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, seal) == 1) return ctx;
  EVP_CIPHER_CTX_free(ctx);
  return NULL;
}

int evp_seal(EVP_CIPHER_CTX *ctx, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out) {
  uint8_t nonce[12];
  int n = 0;
  nonce_of(counter, nonce);
  return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
         EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 && EVP_EncryptFinal_ex(ctx, out + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + len) == 1;
}

int evp_open(EVP_CIPHER_CTX *ctx, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out) {
  uint8_t nonce[12], tag[AEAD_TAG_BYTES];
  int n = 0;
  nonce_of(counter, nonce);
  memcpy(tag, in + len, sizeof tag);
  return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
         EVP_DecryptUpdate(ctx, out, &n, in, (int)len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;
}

void aead_allow_ipsec_mb(int is_allowed) { atomic_store(&allowed, is_allowed); }

const char *aead_without_ipsec_mb(void) {
  return atomic_load(&allowed) ? ipsec_mb_missing() : "switched off";
}

struct aead *aead_new(int suite, const uint8_t key[AEAD_KEY_BYTES], int seal) {
  struct aead *a = calloc(1, sizeof *a);
  if (!a) return NULL;
  if (suite == SUITE_AES_256_GCM && !aead_without_ipsec_mb()) a->fast = ipsec_mb_key(key);
  else a->evp = evp_new(suite, key, seal);
  if (a->fast || a->evp) return a;
  free(a);
  return NULL;
}

void aead_free(struct aead *a) {
  if (!a) return;
  ipsec_mb_key_free(a->fast);
  EVP_CIPHER_CTX_free(a->evp);
  free(a);
}

int aead_seal(struct aead *a, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out) {
  if (!a->fast) return evp_seal(a->evp, counter, aad, aad_len, in, len, out);
  uint8_t nonce[12];
  nonce_of(counter, nonce);
  ipsec_mb_seal(a->fast, nonce, aad, aad_len, in, len, out);
  return 1;
}

int aead_open(struct aead *a, uint64_t counter, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
              uint8_t *out) {
  if (!a->fast) return evp_open(a->evp, counter, aad, aad_len, in, len, out);
  uint8_t nonce[12];
  nonce_of(counter, nonce);
  return ipsec_mb_open(a->fast, nonce, aad, aad_len, in, len, out);
}
