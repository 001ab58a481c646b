#!/usr/bin/env python3
"""Draws the logos and screenshots of the listing into pictures/.

Needs nothing but Python: shapes are drawn with distance functions, text with a stroke font of our
own, and PNG is written by hand. The same script gives the same pixels everywhere.

    make-pictures.py            draw them all
    make-pictures.py --check    say which file does not hold the pixels this script draws
"""

import math
import struct
import sys
import zlib
from pathlib import Path

PICTURES = Path(__file__).resolve().parent / "pictures"

TEAL, FOAM, SHALLOW, DEEP = (15, 118, 132), (226, 244, 241), (64, 176, 178), (10, 78, 94)
CORAL, SAND = (255, 138, 101), (250, 214, 165)
INK, MUTED, GRID = (18, 42, 52), (104, 128, 137), (219, 229, 232)
PANEL, PAPER = (255, 255, 255), (238, 244, 246)
NIGHT, NIGHT_BAR, MINT, SILVER = (14, 30, 38), (24, 48, 58), (126, 224, 196), (208, 222, 226)

# One glyph is a list of strokes on a grid 4 wide and 6 high (baseline at 6, descenders to 8);
# a stroke is a run of points, two digits each.
GLYPHS = {
    "A": "06 04 20 44 46|04 44", "B": "00 06 36 45 44 33 03|00 30 41 42 33",
    "C": "41 30 10 01 05 16 36 45", "D": "00 06 26 44 42 20 00", "E": "40 00 06 46|03 33",
    "F": "40 00 06|03 33", "G": "41 30 10 01 05 16 36 45 43 23", "H": "00 06|40 46|03 43",
    "I": "10 30|20 26|16 36", "K": "00 06|40 03 46", "L": "00 06 46", "M": "06 00 23 40 46",
    "N": "06 00 46 40", "O": "10 01 05 16 36 45 41 30 10", "P": "06 00 30 41 42 33 03",
    "Q": "10 01 05 16 36 45 41 30 10|34 46", "R": "06 00 30 41 42 33 03|23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05", "T": "00 40|20 26", "U": "00 05 16 36 45 40",
    "V": "00 26 40", "W": "00 16 23 36 40", "X": "00 46|40 06", "Y": "00 23 40|23 26",
    "Z": "00 40 06 46", "a": "12 32 43 46|44 14 05 16 36 45",
    "b": "00 06|03 12 32 43 45 36 16 05", "c": "43 32 12 03 05 16 36 45",
    "d": "40 46|43 32 12 03 05 16 36 45", "e": "04 44 43 32 12 03 05 16 36 45",
    "f": "40 30 21 26|03 33", "g": "43 32 12 03 05 16 36 45|42 47 38 18",
    "h": "00 06|03 12 32 43 46", "i": "22 26|20 20", "j": "22 27 18|20 20", "k": "00 06|32 04 36",
    "l": "10 20 25 36", "m": "06 02|03 12 23 26|23 32 43 46", "n": "02 06|03 12 32 43 46",
    "o": "12 03 05 16 36 45 43 32 12", "p": "02 08|03 12 32 43 45 36 16 05",
    "q": "42 48|43 32 12 03 05 16 36 45", "r": "02 06|04 22 32 43",
    "s": "43 32 12 03 14 34 45 36 16 05", "t": "20 25 36 46|02 42", "u": "02 05 16 26 44|42 46",
    "v": "02 26 42", "w": "02 16 24 36 42", "x": "02 46|42 06", "y": "02 25|42 25 18 08",
    "z": "02 42 06 46", "0": "10 01 05 16 36 45 41 30 10|14 32", "1": "11 20 26|16 36",
    "2": "01 10 30 41 42 06 46", "3": "01 10 30 41 42 33 44 45 36 16 05|23 33",
    "4": "36 30 04 44", "5": "40 00 02 32 43 45 36 16 05",
    "6": "40 20 02 05 16 36 45 44 33 13 04", "7": "00 40 16",
    "8": "10 01 02 13 04 05 16 36 45 44 33 42 41 30 10|13 33",
    "9": "06 26 44 41 30 10 01 02 13 33 42", ".": "26 26", ",": "25 26 17", ":": "23 23|26 26",
    "-": "03 43", "_": "06 46", "/": "06 40", "%": "06 40|00 10 11 01 00|35 45 46 36 35",
    "$": "41 32 12 03 14 34 45 36 16|21 27", ">": "01 33 05", "(": "30 11 15 36",
    ")": "10 31 35 16", "+": "21 25|03 43", "\"": "10 12|30 32", "=": "02 42|04 44",
    "#": "11 15|31 35|02 42|04 44", "{": "30 21 22 13 24 25 36", "}": "10 21 22 33 24 25 16",
    "'": "20 22",
}


class Canvas:
    """RGB pixels that shapes are blended into; every shape is anti-aliased by its coverage."""

    def __init__(self, width, height, colour):
        self.width, self.height = width, height
        self.rows = [bytearray(bytes(colour) * width) for _ in range(height)]

    def blend(self, x, y, colour, cover):
        if cover <= 0 or not (0 <= x < self.width and 0 <= y < self.height):
            return
        row, at = self.rows[y], 3 * x
        if cover >= 1:
            row[at : at + 3] = bytes(colour)
            return
        for i in range(3):
            row[at + i] = round(row[at + i] + (colour[i] - row[at + i]) * cover)

    def shape(self, box, colour, distance):
        """Paints where distance(x, y) is negative; the edge is one pixel soft."""
        left, top, right, bottom = box
        for y in range(max(0, math.floor(top) - 1), min(self.height, math.ceil(bottom) + 1)):
            for x in range(max(0, math.floor(left) - 1), min(self.width, math.ceil(right) + 1)):
                self.blend(x, y, colour, 0.5 - distance(x + 0.5, y + 0.5))

    def rect(self, x, y, w, h, colour, radius=0.0):
        if radius == 0:
            for row in self.rows[round(y) : round(y + h)]:
                row[3 * round(x) : 3 * round(x + w)] = bytes(colour) * (round(x + w) - round(x))
            return

        def distance(px, py):
            dx = abs(px - x - w / 2) - w / 2 + radius
            dy = abs(py - y - h / 2) - h / 2 + radius
            return math.hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - radius

        self.shape((x, y, x + w, y + h), colour, distance)

    def ellipse(self, cx, cy, rx, ry, colour, line=None):
        def distance(px, py):
            # Distance to an ellipse to first order; exact for a circle.
            k0 = math.hypot((px - cx) / rx, (py - cy) / ry)
            k1 = math.hypot((px - cx) / rx**2, (py - cy) / ry**2)
            d = -min(rx, ry) if k1 == 0 else k0 * (k0 - 1) / k1
            return d if line is None else abs(d) - line / 2

        w, h = rx + (line or 0), ry + (line or 0)
        self.shape((cx - w, cy - h, cx + w, cy + h), colour, distance)

    def line(self, points, width, colour):
        for (ax, ay), (bx, by) in zip(points, points[1:]):
            long = (bx - ax) ** 2 + (by - ay) ** 2

            def distance(px, py, ax=ax, ay=ay, bx=bx, by=by, long=long):
                t = 0 if long == 0 else ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / long
                t = min(1.0, max(0.0, t))
                return math.hypot(px - ax - t * (bx - ax), py - ay - t * (by - ay)) - width / 2

            left, right, top, bottom = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
            box = (left - width, top - width, right + width, bottom + width)
            self.shape(box, colour, distance)

    def below(self, curve, bottom, colour, left=0, right=None):
        """Fills between curve(x) and bottom, column by column."""
        for x in range(left, self.width if right is None else right):
            top = curve(x + 0.5)
            self.blend(x, math.floor(top), colour, 1 - (top - math.floor(top)))
            for y in range(math.floor(top) + 1, bottom):
                self.blend(x, y, colour, 1)

    def text(self, x, y, words, size, colour, weight=None):
        """Writes with the baseline at y; returns the x after the last letter."""
        unit = size / 6
        weight = weight or max(1.6, size / 8)
        for letter in words:
            for stroke in GLYPHS[letter].split("|") if letter != " " else ():
                points = [(x + int(i) * unit, y - size + int(j) * unit) for i, j in stroke.split()]
                dot = len(set(points)) == 1
                self.line(points, weight * (1.5 if dot else 1), colour)
            x += 5.6 * unit
        return x

    def png(self):
        def chunk(kind, data):
            check = struct.pack(">I", zlib.crc32(kind + data))
            return struct.pack(">I", len(data)) + kind + data + check

        # Filter 2 keeps the difference to the row above: flat pictures become long runs of zeros.
        raw, above = bytearray(), bytearray(3 * self.width)
        for row in self.rows:
            raw.append(2)
            raw += bytes((a - b) & 255 for a, b in zip(row, above))
            above = row
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(raw), 9))
        return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def mark(c, cx, cy, s):
    """The mark: a stone in a pool, and the rings it makes. s is half its width."""
    c.ellipse(cx, cy + 0.30 * s, 0.98 * s, 0.46 * s, SHALLOW)
    c.ellipse(cx, cy + 0.30 * s, 0.72 * s, 0.32 * s, FOAM, line=0.09 * s)
    c.ellipse(cx, cy + 0.30 * s, 0.42 * s, 0.17 * s, FOAM, line=0.08 * s)
    c.ellipse(cx, cy - 0.40 * s, 0.30 * s, 0.30 * s, CORAL)


def logo(width, height):
    c = Canvas(width, height, TEAL)
    if width < 2 * height:
        mark(c, width / 2, height / 2, 0.40 * width)
        return c
    mark(c, width * 0.27, height / 2, 0.36 * height)
    for row, colour in enumerate((FOAM, SHALLOW, CORAL)):
        y = height * (0.32 + 0.18 * row)
        points = [
            (width * (0.50 + 0.38 * t / 48), y + math.sin(t * math.pi / 8) * height * 0.05)
            for t in range(49)
        ]
        c.line(points, height * 0.055, colour)
    return c


def day(x, low, high, phase):
    """A smooth daily curve with a little life in it; x runs from 0 to 1."""
    wave = 0.5 - 0.5 * math.cos(2 * math.pi * x + phase)
    return low + (high - low) * wave + 0.06 * (high - low) * math.sin(23 * x) * math.sin(7 * x + 1)


def card(c, x, title, value, note, colour):
    c.rect(x, 96, 288, 112, PANEL, radius=10)
    c.rect(x, 96, 6, 112, colour)
    c.text(x + 26, 128, title, 12, MUTED)
    c.text(x + 26, 172, value, 26, INK, weight=3.2)
    c.text(x + 26, 196, note, 10, MUTED)


def chart(c, box, title, marks, curve, colour, tint):
    x, y, w, h = box
    c.rect(x, y, w, h, PANEL, radius=10)
    c.text(x + 26, y + 36, title, 14, INK)
    left, top, right, bottom = x + 92, y + 64, x + w - 28, y + h - 48
    for i, label in enumerate(marks):
        at = bottom - (bottom - top) * i / (len(marks) - 1)
        c.rect(left, at, right - left, 1, GRID)
        c.text(x + 26, at + 5, label, 10, MUTED)
    for i in range(5):
        c.text(left + (right - left - 34) * i / 4, y + h - 20, f"{6 * i:02}:00", 10, MUTED)
    def height(px):
        return bottom - (bottom - top) * curve((px - left) / (right - left))

    points = [(px, height(px)) for px in range(left, right + 1, 4)]
    c.below(height, bottom, tint, left, right)
    c.line(points, 3, colour)


def overview():
    c = Canvas(1280, 720, PAPER)
    c.rect(0, 0, 1280, 64, DEEP)
    mark(c, 44, 32, 22)
    c.text(82, 40, "Tidepool Cache", 18, FOAM, weight=2.4)
    c.text(1008, 39, "production - 24 hours", 12, SHALLOW)
    card(c, 32, "hit rate", "97.4 %", "target 95 %", SHALLOW)
    card(c, 340, "memory", "512 MB", "of 768 MB, allkeys-lru", CORAL)
    card(c, 648, "requests per second", "18 240", "peak 26 910 at 13:05", TEAL)
    card(c, 956, "latency p99", "0.41 ms", "inside the cluster", SAND)
    marks = ["90 %", "92 %", "94 %", "96 %", "98 %"]
    rate = lambda t: day(t, 0.60, 0.94, 0.9)
    chart(c, (32, 232, 596, 456), "Hit rate", marks, rate, TEAL, (214, 238, 238))
    marks = ["0", "192 MB", "384 MB", "576 MB", "768 MB"]
    memory = lambda t: day(t, 0.42, 0.74, 0.2)
    chart(c, (648, 232, 596, 456), "Memory used", marks, memory, CORAL, (255, 231, 222))
    return c


def first_start():
    c = Canvas(1280, 720, (30, 92, 106))
    c.rect(64, 56, 1152, 608, NIGHT, radius=12)
    c.rect(64, 80, 1152, 20, NIGHT_BAR)
    c.rect(64, 56, 1152, 36, NIGHT_BAR, radius=12)
    for i, colour in enumerate((CORAL, SAND, MINT)):
        c.ellipse(92 + 26 * i, 78, 7, 7, colour)
    c.text(540, 83, "first start of a cache", 11, SILVER)
    lines = [
        ("$ export REDISCLI_AUTH=$(cat /run/secrets/cache)", MINT),
        ("$ redis-cli -h tidepool PING", MINT), ("PONG", SILVER),
        ("$ redis-cli -h tidepool SET session:4711 \"{user: 12}\" EX 900", MINT), ("OK", SILVER),
        ("$ redis-cli -h tidepool CONFIG GET maxmemory-policy", MINT),
        ("1) \"maxmemory-policy\"", SILVER), ("2) \"allkeys-lru\"", SILVER),
        ("$ wget -qO- http://tidepool:8080/cgi-bin/health", MINT),
        ("{\"cache\":\"up\",\"host\":\"127.0.0.1\",\"port\":\"6379\"}", SILVER),
        ("$", MINT),
    ]
    for i, (words, colour) in enumerate(lines):
        end = c.text(100, 148 + 43 * i, words, 16, colour, weight=2.2)
    c.rect(end + 6, 148 + 43 * (len(lines) - 1) - 18, 12, 22, SILVER)
    return c


FILES = {
    "logo-small.png": lambda: logo(48, 48),
    "logo-medium.png": lambda: logo(90, 90),
    "logo-large.png": lambda: logo(280, 280),
    "logo-wide.png": lambda: logo(255, 115),
    "screen-overview.png": overview,
    "screen-first-start.png": first_start,
}


def pixels(png):
    """The filtered rows of a file this script wrote, whatever zlib packed them."""
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind in (b"IHDR",) else b""
        data += zlib.decompress(png[at + 8 : at + 8 + size]) if kind == b"IDAT" else b""
        at += 12 + size
    return data


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    wrong = []
    PICTURES.mkdir(exist_ok=True)
    for name, draw in FILES.items():
        png, path = draw().png(), PICTURES / name
        if not check:
            path.write_bytes(png)
        elif not path.is_file() or pixels(path.read_bytes()) != pixels(png):
            wrong.append(name)
    if wrong:
        sys.exit("not what make-pictures.py draws: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
