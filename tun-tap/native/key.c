/*
 * One AEAD key at a time, for the control plane: a few packets a second, each sealed or opened into new memory.
 */
#include "native.h"

#include "aead.h"
#include "args.h"
#include "ipsec-mb.h"
#include "seal.h"

#include <errno.h>
#include <string.h>

static void key_free(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  aead_free(data);
}

static napi_value key_new(napi_env env, napi_callback_info info, int seal) {
  struct args a;
  int64_t suite;
  uint8_t *key;
  size_t n;
  napi_value self;
  if (!args_read(env, info, 2, &a) || !args_int(env, a.at[0], &suite) || !args_bytes(env, a.at[1], &key, &n)) return NULL;
  struct aead *ctx = n == AEAD_KEY_BYTES ? aead_new((int)suite, key, seal) : NULL;
  if (!ctx) return throw_type(env, "suite is 1 or 2, a key has 32 bytes");
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  if (napi_wrap(env, self, ctx, key_free, NULL, NULL) != napi_ok) {
    aead_free(ctx);
    return NULL;
  }
  return self;
}

static napi_value sealing_new(napi_env env, napi_callback_info info) { return key_new(env, info, 1); }
static napi_value opening_new(napi_env env, napi_callback_info info) { return key_new(env, info, 0); }

/* (counter, aad, input) of seal and open; 0 with a pending exception */
static int key_args(napi_env env, napi_callback_info info, struct args *a, int64_t *counter, uint8_t *data[2],
                    size_t len[2]) {
  if (!args_read(env, info, 3, a) || !args_int(env, a->at[0], counter) ||
      !args_bytes(env, a->at[1], &data[0], &len[0]) || !args_bytes(env, a->at[2], &data[1], &len[1]))
    return 0;
  if (!a->self || *counter < 0 || (uint64_t)*counter >= COUNTER_LIMIT || len[0] > 65536 || len[1] > 65536 + 16) {
    throw_type(env, "the key was destroyed, or the counter or a length is out of range");
    return 0;
  }
  return 1;
}

static napi_value new_bytes(napi_env env, size_t n, uint8_t **data) {
  napi_value buffer, out;
  void *at;
  if (napi_create_arraybuffer(env, n, &at, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, n, buffer, 0, &out) != napi_ok)
    return NULL;
  *data = at;
  return out;
}

static napi_value key_seal(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t counter;
  uint8_t *data[2], *to;
  size_t len[2];
  if (!key_args(env, info, &a, &counter, data, len)) return NULL;
  napi_value out = new_bytes(env, len[1] + AEAD_TAG_BYTES, &to);
  if (!out) return NULL;
  if (!aead_seal(a.self, (uint64_t)counter, data[0], len[0], data[1], len[1], to))
    return throw_errno(env, "seal", EINVAL);
  return out;
}

static napi_value key_open(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t counter;
  uint8_t *data[2], *to;
  size_t len[2];
  napi_value none;
  if (!key_args(env, info, &a, &counter, data, len)) return NULL;
  napi_get_null(env, &none);
  if (len[1] < AEAD_TAG_BYTES) return none;
  napi_value out = new_bytes(env, len[1] - AEAD_TAG_BYTES, &to);
  if (!out) return NULL;
  if (!aead_open(a.self, (uint64_t)counter, data[0], len[0], data[1], len[1] - AEAD_TAG_BYTES, to)) return none;
  return out;
}

/* destroy(): zeroes the key now rather than when the object is collected */
static napi_value key_destroy(napi_env env, napi_callback_info info) {
  napi_value self;
  void *ctx = NULL;
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  if (napi_remove_wrap(env, self, &ctx) == napi_ok && ctx) aead_free(ctx);
  return value_undefined(env);
}

/* useIpsecMb(allowed): for keys made from now on -> { version } or { missing: why } */
static napi_value use_ipsec_mb(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t allowed;
  napi_value out, text;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &allowed)) return NULL;
  aead_allow_ipsec_mb(allowed != 0);
  const char *missing = aead_without_ipsec_mb();
  if (napi_create_object(env, &out) != napi_ok ||
      napi_create_string_utf8(env, missing ? missing : ipsec_mb_version(), NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_set_named_property(env, out, missing ? "missing" : "version", text) != napi_ok)
    return NULL;
  return out;
}

int key_register(napi_env env, napi_value exports) {
  napi_property_descriptor sealing[] = {{"seal", NULL, key_seal, NULL, NULL, NULL, napi_default, NULL},
                                        {"destroy", NULL, key_destroy, NULL, NULL, NULL, napi_default, NULL}};
  napi_property_descriptor opening[] = {{"open", NULL, key_open, NULL, NULL, NULL, napi_default, NULL},
                                        {"destroy", NULL, key_destroy, NULL, NULL, NULL, napi_default, NULL}};
  napi_value type;
  return args_method(env, exports, "useIpsecMb", use_ipsec_mb) &&
         napi_define_class(env, "SealingKey", NAPI_AUTO_LENGTH, sealing_new, NULL, 2, sealing, &type) == napi_ok &&
         napi_set_named_property(env, exports, "SealingKey", type) == napi_ok &&
         napi_define_class(env, "OpeningKey", NAPI_AUTO_LENGTH, opening_new, NULL, 2, opening, &type) == napi_ok &&
         napi_set_named_property(env, exports, "OpeningKey", type) == napi_ok;
}
