"""The third party of the offload tests: cuts super-frames with scapy's own packet classes and checksums.

Reads one JSON object per line from standard input:
  {"frame": hex, "gsoSize": n}
and answers each with one line:
  {"whole": hex, "segments": [hex, ...]}
`whole` is the super-frame with every length and checksum made anew by scapy; each segment likewise, from the fields that
a segment changes (RFC 9293, RFC 3168, RFC 6864).
"""
import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402


def rebuilt(packet):
    """The bytes of a packet whose lengths and checksums scapy computes."""
    if IP in packet:
        del packet[IP].len
        del packet[IP].chksum
    else:
        del packet[IPv6].plen
    if TCP in packet:
        del packet[TCP].chksum
    else:
        del packet[UDP].len
        del packet[UDP].chksum
    return bytes(packet)


def segments(frame, size):
    whole = Ether(frame)
    layer = whole[TCP] if TCP in whole else whole[UDP]
    payload = bytes(layer.payload)
    starts = list(range(0, len(payload), size)) or [0]
    out = []
    for number, start in enumerate(starts):
        packet = Ether(frame)
        layer = packet[TCP] if TCP in packet else packet[UDP]
        layer.remove_payload()
        if payload:
            layer.add_payload(Raw(payload[start:start + size]))
        if IP in packet:
            packet[IP].id = (packet[IP].id + number) % 65536
        if TCP in packet:
            layer.seq = (layer.seq + start) % 2**32
            if number > 0:
                layer.flags = int(layer.flags) & ~0x80
            if number < len(starts) - 1:
                layer.flags = int(layer.flags) & ~0x09
        out.append(rebuilt(packet))
    return out


for line in sys.stdin:
    case = json.loads(line)
    frame = bytes.fromhex(case["frame"])
    answer = {
        "whole": rebuilt(Ether(frame)).hex(),
        "segments": [segment.hex() for segment in segments(frame, case["gsoSize"])],
    }
    print(json.dumps(answer))
