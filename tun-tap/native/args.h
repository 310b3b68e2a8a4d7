/*
 * Reading arguments and returning values over Node-API, and throwing errno as an Error with `.code`. Control-time calls
 * throw; per-batch calls return integers.
 */
#ifndef TUN_TAP_ARGS_H
#define TUN_TAP_ARGS_H

#include <node_api.h>
#include <stdint.h>

#define MAX_ARGS 8

struct args {
  size_t count;
  napi_value at[MAX_ARGS];
  void *self; /* what napi_wrap attached to `this`, or NULL */
};

int args_read(napi_env env, napi_callback_info info, size_t want, struct args *out);
int args_int(napi_env env, napi_value value, int64_t *out);
/* Bytes of a Uint8Array (or Buffer); false with a pending TypeError otherwise. */
int args_bytes(napi_env env, napi_value value, uint8_t **data, size_t *len);
int args_int32s(napi_env env, napi_value value, int32_t **data, size_t *len);
/* Text of at most size - 1 bytes without NUL inside. */
int args_text(napi_env env, napi_value value, char *out, size_t size);
int args_field(napi_env env, napi_value object, const char *name, napi_value *out);
int args_field_int(napi_env env, napi_value object, const char *name, int64_t *out);

napi_value value_int(napi_env env, int64_t n);
napi_value value_undefined(napi_env env);
/* Throws Error(`what: strerror`) with .code such as EPERM; returns NULL. */
napi_value throw_errno(napi_env env, const char *what, int error);
napi_value throw_type(napi_env env, const char *message);

int args_method(napi_env env, napi_value exports, const char *name, napi_callback fn);

#endif
