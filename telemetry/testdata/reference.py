#!/usr/bin/env python3
"""A second, independent reader of one Envelope, written from CONTRACT.md alone.

Format 2 is in reference2.py. Prints the samples and fixes of each batch as JSON lines. It is here to prove
that the contract suffices and to be copied: no dependency but, for compressed
bodies, Python 3.14's compression.zstd or the package zstandard.

usage: reference.py ENVELOPE SIGNALS   (SIGNALS: testdata/signals.txt)
"""
import json
import struct
import sys

GRIDS = [(1, 10**i) for i in range(10)] + [(1852, 3600 * 10**i) for i in range(5)] + [(1, 36 * 10**i) for i in range(4)]
QUALITIES = ["live", "stale", "asleep", "unsupported", "doubtful", "read-time"]
KINDS = ["none", "float", "int", "bool", "text", "bytes"]
MODES = ["none", "2d", "3d"]
FLOATS = ["lat", "lon", "alt", "geoid", "speed", "course", "hdop", "vdop", "pdop"]
MASK = (1 << 64) - 1


def signed(v):
    """Integers wrap around at 64 bits."""
    v &= MASK
    return v - (1 << 64) if v >> 63 else v


def unzigzag(z):
    return signed((z >> 1) ^ -(z & 1))


# ---- protobuf

def varint(p, i):
    v = shift = 0
    while True:
        b = p[i]
        v |= (b & 127) << shift
        i, shift = i + 1, shift + 7
        if b < 128:
            return v, i


def fields(p):
    """Yields (number, value) of a message."""
    i = 0
    while i < len(p):
        tag, i = varint(p, i)
        if tag & 7 == 0:
            v, i = varint(p, i)
        elif tag & 7 == 1:
            v, i = struct.unpack_from("<d", p, i)[0], i + 8
        elif tag & 7 == 2:
            n, i = varint(p, i)
            v, i = p[i:i + n], i + n
        else:
            raise ValueError("wire type %d" % (tag & 7))
        yield tag >> 3, v


def packed(p):
    out, i = [], 0
    while i < len(p):
        v, i = varint(p, i)
        out.append(v)
    return out


def entry(xs, i):
    """The last entry holds for all that follow; none at all means 0."""
    return xs[min(i, len(xs) - 1)] if xs else 0


def name_of(names, i, what):
    """Numbers of a newer version have no name here."""
    return names[i] if i < len(names) else "%s-%d" % (what, i)


# ---- bits

class Bits:
    def __init__(self, p):
        self.p, self.at = p, 0

    def read(self, n):
        v = 0
        for _ in range(n):
            v = v << 1 | self.p[self.at >> 3] >> (7 - (self.at & 7)) & 1
            self.at += 1
        return v

    def number(self):
        n = self.read(6)
        if n == 63:
            return unzigzag(self.read(64))
        return unzigzag(1 << (n - 1) | self.read(n - 1)) if n else 0

    def rice(self, k):
        q = 0
        while q < 20 and self.read(1):
            q += 1
        return self.read(64) if q == 20 else q << k | self.read(k)

    def residuals(self, n):
        code = self.read(6)
        if code == 62:
            return [0] * n
        if code < 62:
            return [unzigzag(self.rice(code)) for _ in range(n)]
        run, rest, out = self.read(5), self.read(6), []
        while len(out) < n:
            out += [0] * min(self.rice(run), n - len(out))
            if len(out) < n:
                out.append(unzigzag(self.rice(rest) + 1))
        return out

    def sequence(self, n, hint=None):
        hint = hint or Hint()
        if n == 0:
            return []
        if n == 1:
            return [signed(self.number() + hint.first)]
        predictor = self.read(3)
        first = signed(self.number() + hint.first)
        if predictor == 7:
            return [first] * n
        if predictor == 6:
            out = [first]
            while len(out) < n:
                out.append(signed(out[-1] + self.number()))
            return out
        if predictor in (3, 4):
            hint.second = signed(self.number() + hint.second)
        if predictor == 2:
            return [signed(first + r) for r in self.residuals(n)]
        if predictor == 3:
            return phase(first, hint.second, self.residuals(n))
        out, d = [first], 0
        for i, r in enumerate(self.residuals(n - 1)):
            if predictor == 1:
                d = r = signed(d + r)
            elif predictor == 4:
                r += hint.second >> 4
            elif predictor == 5:
                r += hint.follow[i + 1] - hint.follow[i]
            out.append(signed(out[-1] + r))
        return out


class Hint:
    """What a clock leaves for the next one."""

    def __init__(self):
        self.first, self.second, self.follow = 0, 0, []


def phase(first, period, residuals):
    out, clock = [], signed(first << 4)
    for r in residuals:
        out.append(signed((signed(clock + 8) >> 4) + r))
        e, missed = signed(r << 4), 0
        if period > 0:
            missed = signed(e + period // 2) // period
            e -= missed * period
        clock = signed(clock + period + missed * period + (signed(e) >> 3))
    return out


# ---- envelope

def number(steps, num, den):
    return float(signed(steps * num)) / float(den)


def double(x):
    return struct.unpack("<d", struct.pack("<q", x))[0]


def inflate(p):
    try:
        from compression import zstd
    except ImportError:
        import zstandard
        return zstandard.ZstdDecompressor().decompress(p, max_output_size=4 << 20)
    return zstd.decompress(p)


def cut(times, cuts):
    """How many rows, in order, belong to each batch: those before the cut of the next."""
    counts, i = [], 0
    for c in cuts[1:]:
        start = i
        while i < len(times) and times[i] < c:
            i += 1
        counts.append(i - start)
    return counts + [len(times) - i]


class Body:
    def __init__(self, p, batches, table, dense=None):
        self.signals, self.declared, self.sources, self.texts = [], {}, [], []
        self.states, self.receivers, self.bits = {}, [], Bits(b"")
        columns = {4: [], 5: [], 6: [], 7: []}
        for n, v in fields(p):
            if n == 1:
                self.declare(dict(fields(v)))
            elif n == 2:
                f = dict(fields(v))
                self.sources.append([f.get(i, b"").decode() for i in (1, 2, 3)])
            elif n == 3:
                self.texts.append(v)
            elif n in columns:
                columns[n] += packed(v)
            elif n == 8:
                f = dict(fields(v))
                self.states[f.get(1, 0)] = packed(f[2])
            elif n == 9:
                self.receivers.append(v.decode())
            elif n == 10:
                self.bits = Bits(v)
        self.n, self.table = batches, table
        self.samples, self.fixes = [[] for _ in range(batches)], [[] for _ in range(batches)]
        if dense:
            dense(self)
            return
        self.read_samples(*(columns[i] for i in (4, 5, 6, 7)))
        for receiver in self.receivers:
            self.read_fixes(receiver)

    def declare(self, f):
        s = (f.get(2, b"unknown-signal-%d" % f.get(1, 0)).decode(), KINDS[f.get(4, 0)], unzigzag(f.get(5, 0)), unzigzag(f.get(6, 0)))
        self.signals.append(s)
        if 1 in f:
            self.declared[f[1]] = s

    def read_samples(self, numbers, sources, clocks, forms):
        if not numbers:
            return
        bits, cuts, hint, seen = self.bits, [0], Hint(), []
        cuts += bits.sequence(self.n - 1)
        for i, num in enumerate(numbers):
            if num >= 4096:
                signal = self.signals[num - 4096]
            else:
                signal = self.table.get(num) or self.declared[num]
            back = entry(clocks, i)
            if back:
                times, counts = seen[i - back]
            else:
                n, counts = bits.number() + len(hint.follow), None
                by_cut = self.n > 1 and bits.read(1)
                if self.n > 1 and not by_cut:
                    counts = bits.sequence(self.n)
                times = bits.sequence(n, hint)
                hint.first, hint.follow = times[0], times
                if by_cut:
                    counts = cut(times, cuts)
            seen.append((times, counts))
            self.read_values(i, signal, entry(sources, i), entry(forms, i), times, counts or [len(times)], self.bits.sequence)
        for batch in self.samples:
            batch.sort(key=lambda s: s["at"])  # stable: columns stay in order

    def read_values(self, i, signal, source, form, times, counts, sequence):
        name, kind, num, den = signal
        runs = self.states.get(i) or [KINDS.index(kind), len(times)]
        states = [s for s, n in zip(runs[::2], runs[1::2]) for _ in range(n)]
        values = iter(sequence(sum(s & 7 != 0 for s in states)))
        batch, left = 0, counts[0]
        for t, state in zip(times, states):
            while left == 0:
                batch, left = batch + 1, counts[batch + 1]
            left -= 1
            k, v = KINDS[state & 7], None
            if k != "none":
                x = next(values)
                if k == "float":
                    v = double(x) if form == 1 else number(x, *(GRIDS[form - 2] if form > 1 else (num, den)))
                else:
                    v = {"int": lambda: x, "bool": lambda: bool(x), "text": lambda: self.texts[x].decode(),
                         "bytes": lambda: self.texts[x].hex().upper()}[k]()
            self.samples[batch].append({"at": t / 1000, "signal": name, "source": "/".join(self.sources[source]), "value": v,
                                        "quality": name_of(QUALITIES, state >> 3, "quality")})

    def known(self, n):
        mode = self.bits.read(2)
        return [bool(m) for m in self.bits.sequence(n)] if mode == 2 else [mode == 1] * n

    def read_fixes(self, receiver):
        bits = self.bits
        n = bits.number()
        counts = bits.sequence(self.n) if self.n > 1 else [n]
        fixes = [{"at": t / 1000, "receiver": receiver} for t in bits.sequence(n)]
        known = self.known(n)
        if any(known):
            unit = 10 ** bits.read(4)
            times = iter(bits.sequence(sum(known)))
        for f, k in zip(fixes, known):
            f["utc_ns"] = next(times) * unit if k else None
        for name in FLOATS:
            known = self.known(n)
            if any(known):
                grid = bits.read(5)
                xs = iter(bits.sequence(sum(known)))
            for f, k in zip(fixes, known):
                x = next(xs) if k else None
                f[name] = None if x is None else double(x) if grid == 31 else number(x, *GRIDS[grid])
        for name in ("sats", "mode", "quality", "valid", "doubt"):
            for f, x in zip(fixes, bits.sequence(n)):
                f[name] = x
        self.deal_fixes(fixes, counts)

    def deal_fixes(self, fixes, counts):
        for f in fixes:
            f["sats"] = None if f["sats"] < 0 else f["sats"]
            f["mode"], f["valid"] = name_of(MODES, f["mode"], "mode"), bool(f["valid"])
        for batch, c in zip(self.fixes, counts):
            batch += fixes[:c]
            del fixes[:c]
        for batch in self.fixes:
            batch.sort(key=lambda f: f["at"])


def read(p, table):
    """Returns (seq, samples, fixes) of each batch."""
    env = dict(fields(p))
    if env[1] not in (1, 2, 3):
        raise ValueError("format %d" % env[1])
    seqs, at = [], 0
    runs = packed(env.get(13, b""))
    for skip, n in zip(runs[::2], runs[1::2]):
        at += skip
        seqs += range(at, at + n)
        at += n
    raw, dense = env.get(15 if env[1] == 1 else 20, b""), None
    if env[1] > 1 and seqs:
        import reference2
        here = 18 not in env or env[18] == env.get(6)
        sent_at, wall = (unzigzag(env.get(17, 0)), unzigzag(env.get(19, 0))) if here else (0, 0)
        dense = lambda body: reference2.Dense(env.get(15, b""), body, sent_at, wall, env[1] == 3)
    body = Body(inflate(raw) if env.get(16) == 1 else raw, len(seqs), table, dense)
    return list(zip(seqs, body.samples, body.fixes))


def load_table(path):
    table = {}
    with open(path) as f:
        for line in f:
            n, name, kind, step = line.split()[:4]
            num, den = step.split("/")
            table[int(n)] = (name, kind, int(num), int(den))
    return table


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as f:
        envelope = f.read()
    for seq, samples, fixes in read(envelope, load_table(sys.argv[2])):
        for record in samples + fixes:
            print(json.dumps({"seq": seq, **record}))
