/*
 * Stands in for Node when receive.c is linked into a fuzz target: the functions that only calls from JavaScript reach.
 * None of them is ever to run.
 */
#include "../../../tun-tap/native/args.h"
#include "../../../tun-tap/native/batch.h"

#include <stdlib.h>

int args_read(napi_env e, napi_callback_info i, size_t n, struct args *a) { (void)e, (void)i, (void)n, (void)a, abort(); }
int args_int(napi_env e, napi_value v, int64_t *n) { (void)e, (void)v, (void)n, abort(); }
int args_bytes(napi_env e, napi_value v, uint8_t **b, size_t *n) { (void)e, (void)v, (void)b, (void)n, abort(); }
int batch_from_object(napi_env e, napi_value o, struct batch *b) { (void)e, (void)o, (void)b, abort(); }
napi_value value_int(napi_env e, int64_t n) { (void)e, (void)n, abort(); }
napi_value value_undefined(napi_env e) { (void)e, abort(); }
napi_value throw_errno(napi_env e, const char *w, int n) { (void)e, (void)w, (void)n, abort(); }
napi_value throw_type(napi_env e, const char *m) { (void)e, (void)m, abort(); }

napi_status napi_get_cb_info(napi_env e, napi_callback_info i, size_t *n, napi_value *v, napi_value *t, void **d) {
  (void)e, (void)i, (void)n, (void)v, (void)t, (void)d, abort();
}
napi_status napi_wrap(napi_env e, napi_value v, void *d, napi_finalize f, void *h, napi_ref *r) {
  (void)e, (void)v, (void)d, (void)f, (void)h, (void)r, abort();
}
napi_status napi_create_reference(napi_env e, napi_value v, uint32_t n, napi_ref *r) {
  (void)e, (void)v, (void)n, (void)r, abort();
}
napi_status napi_delete_reference(napi_env e, napi_ref r) { (void)e, (void)r, abort(); }
napi_status napi_set_named_property(napi_env e, napi_value o, const char *n, napi_value v) {
  (void)e, (void)o, (void)n, (void)v, abort();
}
napi_status napi_define_class(napi_env e, const char *n, size_t l, napi_callback c, void *d, size_t k,
                              const napi_property_descriptor *p, napi_value *r) {
  (void)e, (void)n, (void)l, (void)c, (void)d, (void)k, (void)p, (void)r, abort();
}
