/**
 * Public Noise vectors made by Cacophony, in spaced hex: the two patterns that weft implements, with BLAKE2b.
 * Source: github.com/mcginty/snow, tests/vectors/cacophony.txt at 8ac60f51cfe3e010c84f0a454cc575ad9204fa12.
 */
export interface NoiseVector {
  readonly protocolName: string;
  readonly initPrologue: string;
  readonly initPsks?: readonly string[];
  readonly initStatic: string;
  readonly initEphemeral: string;
  readonly initRemoteStatic: string;
  readonly respPrologue: string;
  readonly respPsks?: readonly string[];
  readonly respStatic: string;
  readonly respEphemeral: string;
  readonly handshakeHash: string;
  /** The handshake's two messages, then transport messages in turn. */
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

export const NOISE_VECTORS: readonly NoiseVector[] = [
  {
    protocolName: 'Noise_IK_25519_ChaChaPoly_BLAKE2b',
    initPrologue: '4a6f686e 2047616c 74',
    initStatic: 'e61ef991 9cde45dd 5f821664 04bd08e3 8bceb5df dfded0a3 4c8df7ed 542214d1',
    initEphemeral: '893e28b9 dc6ca8d6 11ab6647 54b8ceb7 bac51173 49a4439a 6b0569da 977c464a',
    initRemoteStatic: '31e0303f d6418d2f 8c0e78b9 1f22e8ca ed0fbe48 656dcf47 67e4834f 701b8f62',
    respPrologue: '4a6f686e 2047616c 74',
    respStatic: '4a3acbfd b163dec6 51dfa319 4dece676 d437029c 62a408b4 c5ea9114 246e4893',
    respEphemeral: 'bbdb4cdb d309f1a1 f2e14569 67fe288c add6f712 d65dc7b7 793d5e63 da6b375b',
    handshakeHash:
      '1c8fa891 cb414fed ba6daa7c 6f4ae0a6 d98e5f97 68cc9cec d27e8056 14943ee9 c8a1b27f bfb76dc1 97255c8a a69f6b42 85c42384 0b8bedf4 5e652ca6 4f797d81',
    messages: [
      {
        payload: '4c756477 69672076 6f6e204d 69736573',
        ciphertext:
          'ca35def5 ae56cec3 3dc20367 31ab1489 6bc4c75d bb07a61f 879f8e3a fa4c7944 ba83a447 b38c83e3 27ad9369 29812f62 4884847b 7831e95e 197b2f79 7088efdd 2f88f1db 7e1fb0e9 9c644190 97af91ce e64e470f 4b6fcd92 98ce0b56 fe20f86e 13bf7043 9c538e36 02a7127a f71a29cc',
      },
      {
        payload: '4d757272 61792052 6f746862 617264',
        ciphertext:
          '95ebc60d 2b1fa672 c1f46a8a a265ef51 bfe38e7c cb39ec5b e34069f1 44808843 9f069b26 7a06b3de 3ecb1043 bcb098e9 af91d9c6 4748d998 c7b47890 871571',
      },
      {
        payload: '462e2041 2e204861 79656b',
        ciphertext: 'cd543830 60e7a284 34cca27f b1cc524c fbabeb18 181589df 219d07',
      },
      {
        payload: '4361726c 204d656e 676572',
        ciphertext: 'a856d3bf 0246bfc4 76c65500 9cd1ed67 7b8dcc5b 349ae8ef 2a05f2',
      },
      {
        payload: '4a65616e 2d426170 74697374 65205361 79',
        ciphertext: '49063084 b2c51f09 8337cb8a 13739ac8 48f907e6 7cfb2cc8 a8b60586 467aa02f c7',
      },
      {
        payload: '45756765 6e2042f6 686d2076 6f6e2042 61776572 6b',
        ciphertext: '8b9709d2 3b47e463 9df7678d 7a21741e ba4ef1e9 c6038300 1c743554 9c20f9d5 6f30e935 d3',
      },
    ],
  },
  {
    protocolName: 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b',
    initPrologue: '4a6f686e 2047616c 74',
    initPsks: ['54686973 20697320 6d792041 75737472 69616e20 70657273 70656374 69766521'],
    initStatic: 'e61ef991 9cde45dd 5f821664 04bd08e3 8bceb5df dfded0a3 4c8df7ed 542214d1',
    initEphemeral: '893e28b9 dc6ca8d6 11ab6647 54b8ceb7 bac51173 49a4439a 6b0569da 977c464a',
    initRemoteStatic: '31e0303f d6418d2f 8c0e78b9 1f22e8ca ed0fbe48 656dcf47 67e4834f 701b8f62',
    respPrologue: '4a6f686e 2047616c 74',
    respPsks: ['54686973 20697320 6d792041 75737472 69616e20 70657273 70656374 69766521'],
    respStatic: '4a3acbfd b163dec6 51dfa319 4dece676 d437029c 62a408b4 c5ea9114 246e4893',
    respEphemeral: 'bbdb4cdb d309f1a1 f2e14569 67fe288c add6f712 d65dc7b7 793d5e63 da6b375b',
    handshakeHash:
      'ed837c90 84f2f033 3a7ec60b 9bcacd99 21394858 de8ced11 8b5966d1 147ba390 084dab42 326c565a 309c2931 7a6079be 30aa1d79 0d25a517 b4328742 6cb1d36a',
    messages: [
      {
        payload: '4c756477 69672076 6f6e204d 69736573',
        ciphertext:
          'ca35def5 ae56cec3 3dc20367 31ab1489 6bc4c75d bb07a61f 879f8e3a fa4c7944 b6fe0240 b839afac 809de163 0eaf99d8 f9b94139 4f0512c0 554633bb b021d151 76135c0a 20e7fdb9 a9ed066f 22f054b4 7625b1d5 061cb27d 6a17f053 273db7c2 5216a5ad dc506ee3 21bc0618 feb5849d',
      },
      {
        payload: '4d757272 61792052 6f746862 617264',
        ciphertext:
          '95ebc60d 2b1fa672 c1f46a8a a265ef51 bfe38e7c cb39ec5b e34069f1 44808843 8f627e69 fc120006 f746b9d4 20bf4056 cf8481ab 32d9e904 ffaeeaa5 6a5290',
      },
      {
        payload: '462e2041 2e204861 79656b',
        ciphertext: '07fc0034 398a5f10 10322be1 93d62f94 bebf2948 a20b3e15 d681fe',
      },
      {
        payload: '4361726c 204d656e 676572',
        ciphertext: '2ea5400f 5b8a1697 1c8b67bd e75aeb79 87d454b1 c0beeb25 66932d',
      },
      {
        payload: '4a65616e 2d426170 74697374 65205361 79',
        ciphertext: '96eef918 ef51639f c0e156da 1823c4f7 1b33fac5 af983f5d a9384f7d a20d86ed 91',
      },
      {
        payload: '45756765 6e2042f6 686d2076 6f6e2042 61776572 6b',
        ciphertext: 'f02766a5 6496e1fb f32e0527 4baebf6d 693c8f3e 4c6e0dc7 ebdc5ac1 70f15dae 433b92f4 69',
      },
    ],
  },
];
