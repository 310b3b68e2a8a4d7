"""One end of a test transfer, started by traffic.ts inside a namespace. Every byte that arrives is compared.

  traffic_end.py receive tcp|udp|stream ADDRESS PORT SEED BYTES SIZE
  traffic_end.py send tcp|udp|stream ADDRESS PORT SEED BYTES SIZE [SEGMENTS|RATE]

tcp     a byte stream of the seed; both ends print its SHA-256.
udp     numbered datagrams of SIZE bytes in windows; what is missing of a window is sent again, so that the whole
        arrives. SEGMENTS above 1: that many leave in one UDP_SEGMENT send (Linux udp(7)).
stream  numbered datagrams at RATE a second, none sent again; the receiver ends after a second of silence.

A receiver prints `ready` when it listens; each end prints one JSON object when it is done. Datagram, big endian:

  | magic u32 | number u32 | attempt u32 | bytes of the seed for this number |
"""
import hashlib
import json
import random
import socket
import struct
import sys
import time

MAGIC = 0x77656674
HEADER = struct.Struct("!III")
BLOCK_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
WINDOW = 256
ASK, ANSWER = 0x61736B3F, 0x6F6B6179
UDP_SEGMENT = 103


class Content:
    """What is sent: slices of one random block, different for every number."""

    def __init__(self, seed):
        self.block = random.Random(seed).randbytes(BLOCK_BYTES + CHUNK_BYTES)

    def at(self, number, size):
        start = number * 7919 % BLOCK_BYTES
        return self.block[start:start + size]


def open_socket(address, kind):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, kind)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        # SO_RCVBUFFORCE is 33, SO_SNDBUFFORCE is 32.
        opened.setsockopt(socket.SOL_SOCKET, 33 if option == socket.SO_RCVBUF else 32, 8 << 20)
    return opened


def ready():
    print("ready", flush=True)


def tcp_chunks(content, total):
    for number in range((total + CHUNK_BYTES - 1) // CHUNK_BYTES):
        yield content.at(number, min(CHUNK_BYTES, total - number * CHUNK_BYTES))


def tcp_send(address, port, content, total, _size, _extra):
    digest = hashlib.sha256()
    with open_socket(address, socket.SOCK_STREAM) as link:
        link.settimeout(120)
        start = time.monotonic()
        link.connect((address, port))
        for chunk in tcp_chunks(content, total):
            digest.update(chunk)
            link.sendall(chunk)
        link.shutdown(socket.SHUT_WR)
        link.recv(1)
    return {"bytes": total, "digest": digest.hexdigest(), "seconds": time.monotonic() - start}


def tcp_receive(address, port, _content, _total, _size):
    digest, count = hashlib.sha256(), 0
    with open_socket(address, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        listener.settimeout(120)
        ready()
        link, _ = listener.accept()
        with link:
            link.settimeout(120)
            while chunk := link.recv(1 << 20):
                digest.update(chunk)
                count += len(chunk)
            link.sendall(b"!")
    return {"bytes": count, "digest": digest.hexdigest()}


def datagram(content, number, attempt, size):
    return HEADER.pack(MAGIC, number, attempt) + content.at(number, size - HEADER.size)


def udp_send(address, port, content, total, size, segments):
    count = (total + size - 1) // size
    digest = hashlib.sha256()
    resent = 0
    with open_socket(address, socket.SOCK_DGRAM) as link:
        link.connect((address, port))
        if segments > 1:
            link.setsockopt(socket.SOL_UDP, UDP_SEGMENT, size)
        for first in range(0, count, WINDOW):
            wanted = list(range(first, min(first + WINDOW, count)))
            for number in wanted:
                digest.update(content.at(number, size - HEADER.size))
            attempt = 0
            while wanted:
                for at in range(0, len(wanted), segments):
                    link.send(b"".join(datagram(content, n, attempt, size) for n in wanted[at:at + segments]))
                wanted = missing(link, wanted, first, attempt)
                resent += len(wanted)
                attempt += 1
                if attempt > 200:
                    raise SystemExit(f"window {first}: {len(wanted)} never arrive")
        try:
            for _ in range(3):
                link.send(HEADER.pack(ASK, 0xFFFFFFFF, 0))
        except ConnectionRefusedError:
            pass  # the first was enough: the receiver has gone
    return {"bytes": count * size, "digest": digest.hexdigest(), "resent": resent}


def missing(link, wanted, first, attempt):
    """Asks until the receiver says what it has of a window."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        link.settimeout(0.1)
        link.send(HEADER.pack(ASK, first, attempt))
        try:
            while True:
                answer = link.recv(65535)
                kind, window, of = HEADER.unpack_from(answer)
                if kind == ANSWER and window == first and of == attempt:
                    has = answer[HEADER.size:]
                    return [n for n in wanted if not has[(n - first) // 8] >> ((n - first) % 8) & 1]
        except (TimeoutError, ConnectionRefusedError):
            continue
    raise SystemExit(f"window {first}: no answer")


class Seen:
    """Datagrams that came, by number and attempt."""

    def __init__(self, content, size):
        self.content, self.size = content, size
        self.copies, self.numbers = set(), set()
        self.received = self.corrupted = self.duplicates = self.reordered = 0
        self.latest = -1

    def take(self, got):
        self.received += 1
        _, number, attempt = HEADER.unpack_from(got)
        if len(got) != self.size or got[HEADER.size:] != self.content.at(number, self.size - HEADER.size):
            self.corrupted += 1
            return
        if (number, attempt) in self.copies:
            self.duplicates += 1
            return
        if number < self.latest:
            self.reordered += 1
        self.latest = max(self.latest, number)
        self.copies.add((number, attempt))
        self.numbers.add(number)

    def report(self):
        names = ("received", "corrupted", "duplicates", "reordered")
        return {name: getattr(self, name) for name in names} | {"distinct": len(self.numbers)}


def udp_receive(address, port, content, total, size):
    count = (total + size - 1) // size
    seen = Seen(content, size)
    with open_socket(address, socket.SOCK_DGRAM) as link:
        link.bind((address, port))
        link.settimeout(60)
        ready()
        while True:
            got, sender = link.recvfrom(65535)
            kind, first, attempt = HEADER.unpack_from(got) if len(got) >= HEADER.size else (0, 0, 0)
            if kind != ASK:
                seen.take(got.ljust(HEADER.size, b"\0"))
                continue
            if first == 0xFFFFFFFF:
                break
            has = bytearray(WINDOW // 8)
            for offset in range(WINDOW):
                if first + offset in seen.numbers:
                    has[offset // 8] |= 1 << (offset % 8)
            link.sendto(HEADER.pack(ANSWER, first, attempt) + bytes(has), sender)
    digest = hashlib.sha256()
    for number in range(count):
        if number in seen.numbers:
            digest.update(content.at(number, size - HEADER.size))
    return seen.report() | {"bytes": len(seen.numbers) * size, "digest": digest.hexdigest()}


def stream_send(address, port, content, total, size, rate):
    count = total // size
    with open_socket(address, socket.SOCK_DGRAM) as link:
        link.connect((address, port))
        start = time.monotonic()
        for number in range(count):
            while time.monotonic() - start < number / rate:
                time.sleep(0.0005)
            link.send(datagram(content, number, 0, size))
    return {"bytes": count * size, "datagrams": count}


def stream_receive(address, port, content, total, size):
    seen = Seen(content, size)
    with open_socket(address, socket.SOCK_DGRAM) as link:
        link.bind((address, port))
        link.settimeout(30)
        ready()
        try:
            while True:
                seen.take(link.recv(65535).ljust(HEADER.size, b"\0"))
                link.settimeout(1)
        except TimeoutError:
            pass
    return seen.report() | {"datagrams": total // size}


def main(way, kind, address, port, seed, total, size, extra="1"):
    content = Content(int(seed))
    common = (address, int(port), content, int(total), int(size))
    ends = {
        ("send", "tcp"): tcp_send,
        ("send", "udp"): udp_send,
        ("send", "stream"): stream_send,
        ("receive", "tcp"): tcp_receive,
        ("receive", "udp"): udp_receive,
        ("receive", "stream"): stream_receive,
    }
    end = ends[way, kind]
    print(json.dumps(end(*common, int(extra)) if way == "send" else end(*common)), flush=True)


main(*sys.argv[1:])
