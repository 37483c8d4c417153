"""Scrapes as a scraper sees them: from the connection to the last byte, and nothing is done with
what arrives until the clock was stopped."""

import socket
import time
import urllib.request
import zlib

from processes import Failed

PIECE_BYTES = 1 << 20


class TooSlow(Exception):
    """The answer wasn't complete within the limit."""


class NotYet(Failed):
    """It answers, but its series aren't there yet."""


class Answer:
    """Reads an HTTP/1.1 answer piece by piece: gives the body's bytes, without their framing."""

    def __init__(self):
        self.head = b""
        self.headers = None
        self.body_bytes = 0
        # Of the chunk, or of the body where it isn't chunked: bytes that are still to come.
        self.left = 0
        self.waiting = b""
        self.whole = False

    def feed(self, piece):
        """The parts of the body that are in this piece."""
        if self.headers is None:
            self.head += piece
            head, end, piece = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.read_head(head)
        parts = self.chunks(piece) if self.chunked else [piece]
        for part in parts:
            self.body_bytes += len(part)
            yield part

    def read_head(self, head):
        status, *lines = head.decode("latin-1").split("\r\n")
        code = status.split(" ")[1:2]
        if code == ["503"]:
            raise NotYet("a scrape was answered with 503")
        if code != ["200"]:
            raise Failed(f"a scrape was answered with {status}")
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip().lower() for name, _, value in pairs}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"

    def chunks(self, piece):
        piece, at = self.waiting + piece, 0
        self.waiting = b""
        while at < len(piece):
            if self.left == 0:
                end = piece.find(b"\r\n", at)
                if end < 0:
                    self.waiting = piece[at:]
                    return
                # The line of a length, or the empty one after a chunk.
                if end > at:
                    self.left = int(piece[at:end].split(b";")[0], 16)
                    self.whole = self.left == 0
                at = end + 2
                continue
            part = piece[at : at + self.left]
            self.left -= len(part)
            at += len(part)
            yield part

    def require_head(self):
        if self.headers is None:
            raise Failed("a scrape was answered with nothing")

    def require_whole(self):
        self.require_head()
        length = int(self.headers.get("content-length", self.body_bytes))
        if length != self.body_bytes or self.chunked and not self.whole:
            raise Failed(f"a scrape's body broke off after {self.body_bytes} bytes")


class Scrape:
    """One answer: how long it took, and what arrived."""

    def __init__(self, seconds, pieces):
        self.seconds = seconds
        self.pieces = pieces

    def body(self):
        """The body, checked to be whole, decompressed; and how many bytes it was before that."""
        answer = Answer()
        body = b"".join(part for piece in self.pieces for part in answer.feed(piece))
        answer.require_whole()
        if answer.headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
        return body, answer.body_bytes


def scrape(port, encoding, limit_s):
    """Asks for /metrics and keeps what comes; a million series are about 80 MB."""
    pieces = []
    return Scrape(ask(port, encoding, limit_s, pieces.append), pieces)


def scrape_and_drop(port, encoding, limit_s):
    """The same for bodies that are too large to keep; returns the seconds that it took."""
    first, last = b"", b""

    def drop(piece):
        nonlocal first, last
        if len(first) < 4096:
            first += piece
        # A piece may be as short as a byte.
        last = (last + piece[-16:])[-16:]

    seconds = ask(port, encoding, limit_s, drop)
    answer = Answer()
    for _ in answer.feed(first):
        pass
    answer.require_head()
    if answer.chunked and not last.endswith(b"\r\n0\r\n\r\n"):
        raise Failed("a scrape's body broke off")
    return seconds


def count(port, start, limit_s):
    """How many lines of a plain scrape begin so."""
    pattern = b"\n" + start
    answer, found, end = Answer(), 0, b""

    def add(piece):
        nonlocal found, end
        for part in answer.feed(piece):
            # What begins in one part and ends in the next is counted there.
            part = end + part
            found += part.count(pattern)
            end = part[-len(pattern) + 1 :]

    ask(port, "identity", limit_s, add)
    answer.require_whole()
    return found


def ask(port, encoding, limit_s, keep):
    """Gives `keep` what arrives, and returns the seconds from before connecting to the end."""
    request = (
        "GET /metrics HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Accept: text/plain;version=0.0.4\r\n"
        f"Accept-Encoding: {encoding}\r\n"
        "Connection: close\r\n\r\n"
    )
    began = time.monotonic()
    deadline = began + limit_s
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as connection:
            connection.sendall(request.encode())
            while True:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TooSlow
                connection.settimeout(left_s)
                piece = connection.recv(PIECE_BYTES)
                if not piece:
                    return time.monotonic() - began
                keep(piece)
    except TimeoutError:
        raise TooSlow from None


def get(port, path, limit_s=10):
    """A small page, as text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=limit_s) as answer:
        return answer.read().decode()
