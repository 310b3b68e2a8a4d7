/* See args.h. */
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_SAFE 9007199254740991.0

int args_read(napi_env env, napi_callback_info info, size_t want, struct args *out) {
  napi_value self;
  out->count = MAX_ARGS;
  out->self = NULL;
  if (napi_get_cb_info(env, info, &out->count, out->at, &self, NULL) != napi_ok) return 0;
  if (out->count < want) {
    throw_type(env, "too few arguments");
    return 0;
  }
  napi_unwrap(env, self, &out->self); /* absent for plain functions */
  return 1;
}

/* napi_get_value_int64 would make 0 of NaN and Infinity and cut a fraction off: two counters would become one. */
int args_int(napi_env env, napi_value value, int64_t *out) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= -MAX_SAFE && number <= MAX_SAFE &&
      number == (double)(int64_t)number) {
    *out = (int64_t)number;
    return 1;
  }
  throw_type(env, "expected an integer");
  return 0;
}

static int typed(napi_env env, napi_value value, napi_typedarray_type want, void **data, size_t *len) {
  bool is = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, value, &is) == napi_ok && is &&
      napi_get_typedarray_info(env, value, &type, len, data, NULL, NULL) == napi_ok && type == want)
    return 1;
  return 0;
}

int args_bytes(napi_env env, napi_value value, uint8_t **data, size_t *len) {
  void *at = NULL;
  if (!typed(env, value, napi_uint8_array, &at, len)) {
    throw_type(env, "expected a Uint8Array");
    return 0;
  }
  *data = at;
  return 1;
}

int args_int32s(napi_env env, napi_value value, int32_t **data, size_t *len) {
  void *at = NULL;
  if (!typed(env, value, napi_int32_array, &at, len)) {
    throw_type(env, "expected an Int32Array");
    return 0;
  }
  *data = at;
  return 1;
}

int args_text(napi_env env, napi_value value, char *out, size_t size) {
  size_t len = 0;
  if (napi_get_value_string_utf8(env, value, out, size, &len) != napi_ok || len + 1 >= size || strlen(out) != len) {
    throw_type(env, "expected a short text");
    return 0;
  }
  return 1;
}

int args_field(napi_env env, napi_value object, const char *name, napi_value *out) {
  if (napi_get_named_property(env, object, name, out) == napi_ok) return 1;
  throw_type(env, name);
  return 0;
}

int args_field_int(napi_env env, napi_value object, const char *name, int64_t *out) {
  napi_value value;
  if (!args_field(env, object, name, &value)) return 0;
  return args_int(env, value, out);
}

napi_value value_int(napi_env env, int64_t n) {
  napi_value v = NULL;
  napi_create_int64(env, n, &v);
  return v;
}

napi_value value_undefined(napi_env env) {
  napi_value v = NULL;
  napi_get_undefined(env, &v);
  return v;
}

static const char *errno_name(int error) {
  const char *name = strerrorname_np(error);
  return name ? name : "EUNKNOWN";
}

napi_value throw_errno(napi_env env, const char *what, int error) {
  char message[256];
  snprintf(message, sizeof message, "%s: %s", what, strerror(error));
  napi_throw_error(env, errno_name(error), message);
  return NULL;
}

napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

int args_method(napi_env env, napi_value exports, const char *name, napi_callback fn) {
  napi_value f;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, NULL, &f) == napi_ok &&
         napi_set_named_property(env, exports, name, f) == napi_ok;
}
