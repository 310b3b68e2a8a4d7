"""
One end of a stream of numbered UDP datagrams, for the scenarios: stream_end.py send ADDRESS PORT PPS | receive ADDRESS PORT.
Datagram: u64 number, u64 send time in ns of CLOCK_MONOTONIC (the same clock in every namespace), padding to 200 bytes.
Both run until standard input closes, then print one JSON object; the receiver says `ready` first.
"""
import json
import select
import socket
import struct
import sys
import time

SIZE = 200
HEAD = struct.Struct('>QQ')


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def send(address, port, pps):
    out = socket.socket(family(address), socket.SOCK_DGRAM)
    stdin = sys.stdin.fileno()
    number = failed = 0
    padding = bytes(SIZE - HEAD.size)
    gap = 1.0 / pps
    start = time.monotonic()
    while not select.select([stdin], [], [], max(0.0, start + number * gap - time.monotonic()))[0]:
        try:
            out.sendto(HEAD.pack(number, time.monotonic_ns()) + padding, (address, port))
        except OSError:
            failed += 1
        number += 1
    print(json.dumps({'sent': number, 'failed': failed, 'startedMs': start * 1000}))


def receive(address, port):
    inbound = socket.socket(family(address), socket.SOCK_DGRAM)
    inbound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    inbound.bind((address, port))
    print('ready', flush=True)
    arrivals = []
    ends = None
    while ends is None or time.monotonic() < ends:
        wanted = [inbound] if ends is not None else [inbound, sys.stdin]
        readable = select.select(wanted, [], [], 0.2)[0]
        if sys.stdin in readable:
            # What is under way still comes in.
            ends = time.monotonic() + 0.5
        if inbound in readable:
            number, sent_ns = HEAD.unpack_from(inbound.recv(2048))
            arrivals.append((number, sent_ns // 1000, time.monotonic_ns() // 1000))
    print(json.dumps(arrivals))


if sys.argv[1] == 'send':
    send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
else:
    receive(sys.argv[2], int(sys.argv[3]))
