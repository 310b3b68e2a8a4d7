/* Entry of the addon. Context-aware: no state outside objects, so every worker thread may load it. */
#include "native.h"

NAPI_MODULE_INIT() {
  if (tap_register(env, exports) && udp_register(env, exports) && wait_register(env, exports) &&
      key_register(env, exports) && raw_register(env, exports) && transmit_register(env, exports) &&
      receive_register(env, exports) && offload_register(env, exports) &&
      inject_register(env, exports) && pair_register(env, exports) && unix_register(env, exports) &&
      confine_register(env, exports))
    return exports;
  napi_throw_error(env, "ERR_NATIVE", "tun-tap: Node-API refused to define the addon's functions");
  return NULL;
}
