/** What `weft --help` teaches beyond its list of verbs. */

export const SUMMARY = `weft joins hosts that reach each other only by IP into one Ethernet.
Every host runs one agent; a host joins with one token; traffic is sealed.`;

export const WALK_THROUGH = `
A first mesh, as root:
  on the first host      weft init --name alpha --address 10.80.0.1/24
                         weft run &
                         weft token create --out /root/token
  on every further host  (bring the token over as a secret, say with scp)
                         weft up --token-file /root/token --name beta &
  then                   weft members        who is there
                         weft peers          how well they are reached
                         ping 10.80.0.1      the mesh is an ordinary network

Without a second machine:  weft lab
When something is wrong:   weft doctor, then weft ping NAME, weft events, weft graph, weft bugreport

UDP ports between hosts: 7947 (sealed frames) and 7946 (membership).
Files: /etc/weft/config.yaml (optional, docs/CONFIG.md), /var/lib/weft, /run/weft/weft.sock
Environment: WEFT_STATE_DIR, WEFT_SOCKET, WEFT_CONFIG, WEFT_TOKEN_FILE and WEFT_ + every key of the file
Exit status: 0 ok, 1 failed, 2 usage, 3 no agent answers, 4 not authorised, 5 not found, 6 timed out, 78 bad
configuration or state, 130 interrupted`;
