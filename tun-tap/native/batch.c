/* See batch.h. */
#include "batch.h"

#include "args.h"

int batch_from_object(napi_env env, napi_value object, struct batch *out) {
  int64_t capacity, frames;
  napi_value v;
  size_t n;
  if (!args_field_int(env, object, "capacity", &capacity) || !args_field_int(env, object, "frames", &frames)) return 0;
  if (capacity < 1 || capacity > BATCH_MAX_FRAMES || frames < capacity || frames > BATCH_MAX_DESCRIPTORS) {
    throw_type(env, "batch: capacity out of range");
    return 0;
  }
  out->capacity = (uint32_t)capacity;
  out->frames = (uint32_t)frames;
  if (!args_field(env, object, "bytes", &v) || !args_bytes(env, v, &out->bytes, &n)) return 0;
  if (n < (size_t)capacity * SLOT_BYTES) goto small;
  if (!args_field(env, object, "desc", &v) || !args_int32s(env, v, &out->desc, &n)) return 0;
  if (n < (size_t)frames * DESC_STRIDE) goto small;
  if (!args_field(env, object, "from", &v) || !args_int32s(env, v, &out->from, &n)) return 0;
  if (n < (size_t)frames * FROM_STRIDE) goto small;
  return 1;
small:
  throw_type(env, "batch: memory is smaller than capacity needs");
  return 0;
}
