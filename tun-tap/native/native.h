/* What module.c registers, one function for each file of the addon. Each returns 0 when Node-API refuses. */
#ifndef TUN_TAP_NATIVE_H
#define TUN_TAP_NATIVE_H

#include <node_api.h>

/* Length of struct virtio_net_hdr without the mergeable-buffer field, the TAP default. */
#define VNET_HDR_BYTES 10

int tap_register(napi_env env, napi_value exports);
int udp_register(napi_env env, napi_value exports);
int wait_register(napi_env env, napi_value exports);
int key_register(napi_env env, napi_value exports);
int raw_register(napi_env env, napi_value exports);
int transmit_register(napi_env env, napi_value exports);
int offload_register(napi_env env, napi_value exports);
int receive_register(napi_env env, napi_value exports);
int inject_register(napi_env env, napi_value exports);
int pair_register(napi_env env, napi_value exports);
int unix_register(napi_env env, napi_value exports);
int confine_register(napi_env env, napi_value exports);

#endif
