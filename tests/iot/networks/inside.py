"""What runs on a board of the tests: ping, a transfer, frames as they are. No imports but Python's own."""

from __future__ import annotations

import argparse
import hashlib
import os
import select
import socket
import struct
import sys
import time

BLOCK = bytes(range(256)) * 256
EVERYTHING = 3
"""ETH_P_ALL."""


def say(text: str) -> None:
    print(text, flush=True)


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(number: int, sequence: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHH", 8, 0, 0, number, sequence)
    return struct.pack("!BBHHH", 8, 0, checksum(head + payload), number, sequence) + payload


def ping(address: str, count: int, seconds: float, payload: bytes) -> int:
    """Send echo requests until `count` answers came, or the time is over; prints round trips in ms."""
    number, deadline, came = os.getpid() & 0xFFFF, time.monotonic() + seconds, 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        for sequence in range(1, 65536):
            sent = time.monotonic()
            if came == count or sent > deadline:
                break
            try:
                one.sendto(echo(number, sequence, payload), (address, 0))
            except OSError:
                time.sleep(0.05)  # no interface yet
                continue
            if answered(one, number, sequence, sent + min(1.0, seconds)):
                came += 1
                say(f"answer {came} from {address}: {(time.monotonic() - sent) * 1000:.2f} ms")
    say(f"{came} answers")
    return 0 if came == count else 1


def answered(one: socket.socket, number: int, sequence: int, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([one], [], [], left)[0]:
            return False
        packet = one.recv(65536)
        kind, _, _, of, at = struct.unpack("!BBHHH", packet[20:28])
        if (kind, of, at) == (0, number, sequence):
            return True
    return False


def receive(port: int) -> int:
    """Take one transfer; print its size, digest and rate."""
    with socket.create_server(("0.0.0.0", port)) as listener:
        say("listening")
        one, _ = listener.accept()
        digest, size, begun = hashlib.sha256(), 0, time.monotonic()
        while data := one.recv(1 << 18):
            digest.update(data)
            size += len(data)
        seconds = time.monotonic() - begun
        one.sendall(b"done")
        say(f"received {size} {digest.hexdigest()} {size / seconds / 1e6:.2f} MB/s")
    return 0


def send(address: str, port: int, size: int) -> int:
    """Make one transfer, of words that anybody would recognise."""
    digest, left = hashlib.sha256(), size
    block = (b"the quick brown fox is written in plain words; " * 1400)[: 1 << 16]
    with socket.create_connection((address, port), timeout=10) as one:
        one.settimeout(60)
        while left:
            piece = block[:left]
            one.sendall(piece)
            digest.update(piece)
            left -= len(piece)
        one.shutdown(socket.SHUT_WR)
        one.recv(4)
    say(f"sent {size} {digest.hexdigest()}")
    return 0


def connect(address: str, port: int) -> int:
    """Whether a TCP connection is made within a second."""
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError as error:
        say(f"no: {error}")
        return 1
    say("yes")
    return 0


def capture(device: str, words: list[bytes]) -> int:
    """Count packets and bytes on a device, and those with one of the words, until standard input is closed."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as one:
        one.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE: nothing is missed
        one.bind((device, 0))
        say("capturing")
        packets = size = readable = 0
        stream = bytearray()
        while not (ready := select.select([one, sys.stdin], [], [])[0]) or sys.stdin not in ready:
            data = one.recv(65536)
            packets, size = packets + 1, size + len(data)
            readable += any(word in data for word in words)
            stream += data[54:]
        # Also over the edges of packets.
        readable += sum(bytes(stream).count(word) for word in words)
    say(f"captured {packets} packets {size} bytes {readable} readable")
    return 0


def frame(device: str, data: bytes) -> int:
    """Send one frame as it is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as one:
        one.bind((device, 0))
        one.send(data)
    say("sent")
    return 0


def listen(device: str) -> int:
    """Print every frame that comes in, until standard input is closed."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as one:
        one.bind((device, 0))
        say("listening")
        while not (ready := select.select([one, sys.stdin], [], [])[0]) or sys.stdin not in ready:
            data, origin = one.recvfrom(65536)
            if origin[2] != socket.PACKET_OUTGOING:
                say(f"frame {data.hex()}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    words = arguments.words
    match arguments.command:
        case "ping":
            return ping(words[0], int(words[1]), float(words[2]), (words[3] if words[3:] else "payload").encode())
        case "receive":
            return receive(int(words[0]))
        case "send":
            return send(words[0], int(words[1]), int(words[2]))
        case "connect":
            return connect(words[0], int(words[1]))
        case "capture":
            return capture(words[0], [word.encode() for word in words[1:]])
        case "frame":
            return frame(words[0], bytes.fromhex(words[1]))
        case "listen":
            return listen(words[0])
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
