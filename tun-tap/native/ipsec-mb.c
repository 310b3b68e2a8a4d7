/* See ipsec-mb.h. */
#include "ipsec-mb.h"

#ifdef WEFT_IPSEC_MB

#include "aead.h"

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG 16
/* Longest message of the comparison: past every unrolled loop of the library. */
#define TRIAL_MAX 4096

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *missing = "not looked for";
static char version[32];
/* Only its table of functions is used, which nobody changes after `look`: threads share it. */
static IMB_MGR *manager;

struct gcm_key_data *ipsec_mb_key(const uint8_t key[32]) {
  struct gcm_key_data *expanded;
  if (posix_memalign((void **)&expanded, 64, sizeof *expanded) != 0) return NULL;
  manager->gcm256_pre(key, expanded);
  return expanded;
}

void ipsec_mb_key_free(struct gcm_key_data *key) {
  if (!key) return;
  OPENSSL_cleanse(key, sizeof *key);
  free(key);
}

void ipsec_mb_seal(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, uint8_t *out) {
  struct gcm_context_data state;
  manager->gcm256_enc(key, &state, out, in, len, nonce, aad, aad_len, out + len, TAG);
}

int ipsec_mb_open(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *in, size_t len, uint8_t *out) {
  struct gcm_context_data state;
  uint8_t expected[TAG], computed[TAG];
  memcpy(expected, in + len, TAG);
  manager->gcm256_dec(key, &state, out, in, len, nonce, aad, aad_len, computed, TAG);
  return CRYPTO_memcmp(expected, computed, TAG) == 0;
}

/* Seals `len` bytes with both, opens what the other sealed, and opens a damaged copy. 1 if all is as it must be. */
static int agrees(EVP_CIPHER_CTX *seal, EVP_CIPHER_CTX *open, const struct gcm_key_data *key, size_t len, uint8_t *work) {
  uint8_t *plain = work, *theirs = plain + TRIAL_MAX, *ours = theirs + TRIAL_MAX + TAG;
  uint8_t nonce[12] = {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, (uint8_t)(len >> 8), (uint8_t)len}, aad[TAG];
  uint64_t counter = 0;
  for (int i = 4; i < 12; i++) counter = counter << 8 | nonce[i];
  for (size_t i = 0; i < len; i++) plain[i] = (uint8_t)(i * 31 + len);
  memset(aad, (int)len & 0xff, sizeof aad);
  ipsec_mb_seal(key, nonce, aad, sizeof aad, plain, len, ours);
  if (!evp_seal(seal, counter, aad, sizeof aad, plain, len, theirs) || memcmp(ours, theirs, len + TAG) != 0) return 0;
  if (!evp_open(open, counter, aad, sizeof aad, ours, len, ours) || memcmp(ours, plain, len) != 0) return 0;
  memcpy(ours, theirs, len + TAG);
  if (!ipsec_mb_open(key, nonce, aad, sizeof aad, ours, len, ours) || memcmp(ours, plain, len) != 0) return 0;
  theirs[len / 2] ^= 1;
  return !ipsec_mb_open(key, nonce, aad, sizeof aad, theirs, len, theirs);
}

static int agrees_always(void) {
  static const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 127, 255, 256, 511, 769, 1024, 1404, 2049, TRIAL_MAX};
  uint8_t raw[AEAD_KEY_BYTES];
  for (size_t i = 0; i < sizeof raw; i++) raw[i] = (uint8_t)(7 * i + 1);
  EVP_CIPHER_CTX *seal = evp_new(SUITE_AES_256_GCM, raw, 1), *open = evp_new(SUITE_AES_256_GCM, raw, 0);
  struct gcm_key_data *key = ipsec_mb_key(raw);
  uint8_t *work = malloc(3 * (TRIAL_MAX + TAG));
  int good = seal && open && key && work;
  for (size_t i = 0; good && i < sizeof lengths / sizeof *lengths; i++) good = agrees(seal, open, key, lengths[i], work);
  free(work);
  ipsec_mb_key_free(key);
  EVP_CIPHER_CTX_free(seal);
  EVP_CIPHER_CTX_free(open);
  return good;
}

/* The library stays loaded when it is refused: its code may be in use by nobody, but closing gains nothing. */
static const char *look(void) {
  void *library = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return "libipsec-mb is not installed (apt-get install libipsec-mb1)";
  unsigned (*get_version)(void);
  IMB_MGR *(*allocate)(uint64_t);
  void (*start)(IMB_MGR *, IMB_ARCH *);
  *(void **)&get_version = dlsym(library, "imb_get_version");
  *(void **)&allocate = dlsym(library, "alloc_mb_mgr");
  *(void **)&start = dlsym(library, "init_mb_mgr_auto");
  if (!get_version || !allocate || !start) return "libIPSec_MB.so.1 lacks functions";
  unsigned found = get_version();
  snprintf(version, sizeof version, "%u.%u.%u", found >> 16 & 0xff, found >> 8 & 0xff, found & 0xff);
  if (found >> 8 != IMB_VERSION_NUM >> 8)
    return "libipsec-mb has another version than its header when weft was built (build weft again)";
  manager = allocate(0);
  if (!manager) return "libipsec-mb got no memory";
  IMB_ARCH architecture = IMB_ARCH_NONE;
  start(manager, &architecture);
  if (architecture < IMB_ARCH_AVX2) return "this CPU has no AVX2";
  if ((manager->features & IMB_FEATURE_SELF_TEST) && !(manager->features & IMB_FEATURE_SELF_TEST_PASS))
    return "libipsec-mb failed its own self-test";
  return agrees_always() ? NULL : "libipsec-mb and OpenSSL disagree";
}

static void look_once(void) { missing = look(); }

const char *ipsec_mb_missing(void) {
  pthread_once(&once, look_once);
  return missing;
}

const char *ipsec_mb_version(void) { return version; }

#else

const char *ipsec_mb_missing(void) { return "weft was built without it (apt-get install libipsec-mb-dev, then build again)"; }
const char *ipsec_mb_version(void) { return ""; }
struct gcm_key_data *ipsec_mb_key(const uint8_t key[32]) {
  (void)key;
  return NULL;
}
void ipsec_mb_key_free(struct gcm_key_data *key) { (void)key; }
void ipsec_mb_seal(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, uint8_t *out) {
  (void)key, (void)nonce, (void)aad, (void)aad_len, (void)in, (void)len, (void)out;
}
int ipsec_mb_open(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *in, size_t len, uint8_t *out) {
  (void)key, (void)nonce, (void)aad, (void)aad_len, (void)in, (void)len, (void)out;
  return 0;
}

#endif
