"""The columns of formats 2 and 3, written from CONTRACT.md alone; reference.py uses it.

Everything is one stream of a range coder whose models adapt alike in writer
and reader.
"""
import reference as one

TEXTS = ["", "can0", "obd", "7E8", "gps", "obu", "stat", "can1", "dbc", "j1939", "uds", "nmea", "7E9", "7EA", "7EB", "00", "18DAF110"]
GRIDS = {"lat": 7, "lon": 7, "alt": 1, "geoid": 1, "speed": 13, "course": 2, "hdop": 1, "vdop": 1, "pdop": 1}
SECOND = 10**9


def quotient(a, b):
    """a/b rounded towards 0; b is positive."""
    return abs(a) // b * (1 if a >= 0 else -1)


def model(zero=1 << 15, seen=0):
    return [zero, seen]


def small_model():
    return [model() for _ in range(16)]


def number_model():
    m = [model() for _ in range(64)]
    m[1], m[2] = model(65536 - 2048, 4), model(65536 - 16384, 2)
    return m


class SeqModel:
    def __init__(self):
        self.pred = [model() for _ in range(8)]
        self.factor = model(65536 - 4096, 4)
        self.first, self.second, self.noise, self.peer, self.share = (number_model() for _ in range(5))
        self.rest = []
        for ctx in range(14):
            mean = ctx if ctx < 2 else (5 + 2 * (ctx & 1)) << min(ctx // 2 - 1, 4) >> 1
            self.rest.append([model(min((16 << 16) // (16 + mean), 65536 - 256), 6) for _ in range(20)])


class Range:
    def __init__(self, p):
        self.p, self.at, self.code, self.range = p, 0, 0, 0xFFFFFFFF
        for _ in range(4):
            self.code = self.code << 8 | self.byte()

    def byte(self):
        self.at += 1
        return self.p[self.at - 1] if self.at <= len(self.p) else 0

    def widen(self):
        while self.range < 1 << 24:
            self.code = self.code << 8 | self.byte()
            self.range <<= 8

    def bit(self, m):
        bound = (self.range >> 12) * (m[0] >> 4)
        bit = int(self.code >= bound)
        if bit:
            self.code -= bound
            self.range -= bound
        else:
            self.range = bound
        rate = 65536 // (m[1] + 2)
        m[1] = min(m[1] + 1, 63)
        if bit:
            m[0] -= (m[0] - 32) * rate >> 16
        else:
            m[0] += (65536 - 32 - m[0]) * rate >> 16
        self.widen()
        return bit

    def raw(self, n):
        v = 0
        while n > 0:
            k = min(n, 8)
            n -= k
            self.range >>= k
            x = self.code // self.range
            self.code -= x * self.range
            v = v << k | x
            self.widen()
        return v

    def tree(self, n, models):
        node = 1
        for _ in range(n):
            node = node << 1 | self.bit(models[node])
        return node - (1 << n)

    def long(self):
        n = self.raw(7)
        return n if n < 2 else 1 << (n - 1) | self.raw(n - 1)

    def small(self, models):
        for i, m in enumerate(models):
            if not self.bit(m):
                return i
        return len(models) + self.long()

    def count(self, models):
        n = self.tree(6, models)
        if n == 63:
            return self.raw(64)
        return 1 << (n - 1) | self.raw(n - 1) if n else 0

    def number(self, models):
        return one.unzigzag(self.count(models))


class Noise:
    def __init__(self, level):
        self.mean, self.seen = {1: 2, 2: 9}.get(level, 12 << min(max(level - 2, 0), 40)), 5

    def residual(self, bits, rest):
        n = self.mean.bit_length()
        k, ctx = 0, n
        if n >= 2:
            half = self.mean >> (n - 2) & 1
            k, ctx = (0, 2 * (n - 1) + half) if n <= 6 else (n - 6, 12 + half)
        q = 0
        while q < 20 and bits.bit(rest[ctx][q]):
            q += 1
        if q == 20:
            q += bits.long()
        z = (q << k | bits.raw(k)) & one.MASK
        self.seen = min(self.seen + 1, 16)
        x, rate = min(z, 1 << 40) << 4, 65536 // self.seen
        self.mean += (x - self.mean) * rate >> 16 if x > self.mean else -((self.mean - x) * rate >> 16)
        return one.unzigzag(z)


class Dense:
    """Reads the samples and fixes of formats 2 and 3 into a reference.Body."""

    def __init__(self, p, body, sent_at, sent_wall, tracks):
        self.tracks = tracks  # format 3
        self.bits, self.body, self.at, self.wall = Range(p), body, sent_at, sent_wall
        self.source, self.clock, self.form, self.runs = (small_model() for _ in range(4))
        self.signal, self.rows, self.states, self.texts = (number_model() for _ in range(4))
        self.by_cut, self.grid = model(), model()
        self.known_models = [model() for _ in range(4)]
        self.chars = [model() for _ in range(256)]
        self.times, self.cuts, self.values, self.fixes, self.flags, self.counts = (SeqModel() for _ in range(6))
        self.strings, self.peers = list(TEXTS), []
        first, second = self.read_samples()
        for _ in range(self.bits.count(self.rows)):
            first, second = self.read_fixes(self.text(), first, second)
        for batch in body.fixes:
            batch.sort(key=lambda f: f["at"])

    def text(self):
        i = self.bits.count(self.texts)
        if i:
            return self.strings[i - 1]
        self.strings.append(bytes(self.bits.tree(8, self.chars) for _ in range(self.bits.count(self.rows))).decode())
        return self.strings[-1]

    def residuals(self, n, m, peers):
        share, beside = 0, None
        near = [p for p in reversed(peers) if abs(len(p) - n) <= 1][:32] if peers is not None else []
        if near:
            i = self.bits.count(m.peer)
            if i:
                beside, share = near[i - 1], self.bits.number(m.share)
        level = self.bits.tree(6, m.noise)
        noise = Noise(level)
        rs = [noise.residual(self.bits, m.rest) if level else 0 for _ in range(n)]
        if beside:
            for i in range(1, min(len(beside), n) + 1):
                rs[-i] += beside[-i] * share + 128 >> 8
        if peers is not None and any(rs) and max(map(abs, rs)) <= 1 << 20:
            peers.append(rs)
        return rs

    def sequence(self, n, m, first=0, second=0, follow=None, peers=None, glide=None):
        """Returns the sequence and the period or stride for the next one."""
        bits = self.bits
        if n == 0:
            return [], second
        if n == 1:
            return [one.signed(bits.number(m.first) + first)], second
        predictor = bits.tree(3, m.pred)
        first = one.signed(bits.number(m.first) + first)
        if predictor == 7:
            return [first] * n, second
        if predictor in (3, 4):
            second = one.signed(bits.number(m.second) + second)
        if predictor == 2:
            return [one.signed(first + r) for r in self.residuals(n, m, peers)], second
        if predictor == 3:
            return one.phase(first, second, self.residuals(n, m, peers)), second
        out, d = [first], 0
        for i, r in enumerate(self.residuals(n - 1, m, peers)):
            if predictor == 1:
                d = r = one.signed(d + r)
            elif predictor == 4:
                r += second >> 4
            elif predictor == 5:
                r += follow[i + 1] - follow[i]
            elif predictor == 6 and i > 0:
                last, before = one.signed(out[i] - out[i - 1]), glide[i] - glide[i - 1]
                r += quotient(one.signed(last * (glide[i + 1] - glide[i])), before) if before > 0 else last
            out.append(one.signed(out[-1] + r))
        return out, second

    def factored(self, n, m, first=0, peers=None, second=0, glide=None):
        if n < 3 or not self.bits.bit(m.factor):
            return self.sequence(n, m, first, second, peers=peers, glide=glide)[0]
        f, rest = self.bits.count(m.second), self.bits.count(m.second)
        return [x * f + rest for x in self.sequence(n, m, quotient(first - rest, f), peers=peers, glide=glide)[0]]

    def read_samples(self):
        bits, body, first, second, follow = self.bits, self.body, self.at, 0, []
        columns = bits.count(self.rows)
        cuts = [0]
        if columns and body.n > 1:
            cuts += self.factored(body.n - 1, self.cuts, first)
            first = cuts[1]
        number, source, clocks, recent = 0, None, [], []
        for i in range(columns):
            number += bits.count(self.signal)
            place = bits.small(self.source)
            if place == 1:
                body.sources.append([self.text() for _ in range(3)])
                source = len(body.sources) - 1
            elif place > 1:
                source = place - 2
            back = bits.small(self.clock)
            if back:
                recent.insert(0, recent.pop(back - 1))
            else:
                recent.insert(0, i)
                n, counts = bits.number(self.rows) + len(follow), None
                by_cut = body.n > 1 and bits.bit(self.by_cut)
                if body.n > 1 and not by_cut:
                    counts = self.sequence(body.n, self.counts)[0]
                times, second = self.sequence(n, self.times, first, second, follow)
                first, follow = times[0], times
                if by_cut:
                    counts = one.cut(times, cuts)
            clocks.append(clocks[recent[0]] if back else (times, counts))
            form, runs = bits.small(self.form), bits.small(self.runs)
            if runs:
                body.states[i] = [bits.count(self.states) for _ in range(2 * runs)]
            signal = body.signals[number - 4096] if number >= 4096 else body.table.get(number) or body.declared[number]
            ts, counts = clocks[i]
            body.read_values(i, signal, source, form, ts, counts or [len(ts)], lambda n: self.factored(n, self.values, peers=self.peers))
        for batch in body.samples:
            batch.sort(key=lambda s: s["at"])
        return first, second

    def known(self, n):
        mode = self.bits.tree(2, self.known_models)
        return [bool(m) for m in self.sequence(n, self.counts)[0]] if mode == 2 else [mode == 1] * n

    def read_fixes(self, receiver, first, second):
        bits, body = self.bits, self.body
        n = bits.count(self.rows)
        counts = self.sequence(body.n, self.counts)[0] if body.n > 1 else [n]
        if self.tracks:
            times = self.factored(n, self.times, first, second=second)
        else:
            times, second = self.sequence(n, self.times, first, second)
        fixes, peers = [{"at": t / 1000, "receiver": receiver} for t in times], []
        known = self.known(n)
        if any(known):
            unit = SECOND // 10 ** bits.raw(4)
            at, near = times[known.index(True)], 0
            if self.at and 0 < self.wall <= 1 << 43 and max(abs(at), abs(self.at)) <= 1 << 43:
                near = (self.wall - self.at + at) * 10**6
            beside = [one.signed(t * (10**6 // unit)) if unit < 10**6 else quotient(t, unit // 10**6) for t in times]
            follow = beside if self.tracks and all(known) else None
            utc = iter(self.sequence(sum(known), self.times, quotient(near, unit), SECOND // unit << 4, follow)[0])
        for f, k in zip(fixes, known):
            f["utc_ns"] = next(utc) * unit if k else None
        for name in one.FLOATS:
            known = self.known(n)
            if any(known):
                grid = bits.raw(5) if bits.bit(self.grid) else GRIDS[name]
                glide = times if self.tracks and name in ("lat", "lon") and all(known) else None
                xs = iter(self.factored(sum(known), self.fixes, peers=peers, glide=glide))
            for f, k in zip(fixes, known):
                x = next(xs) if k else None
                f[name] = None if x is None else one.double(x) if grid == 31 else one.number(x, *one.GRIDS[grid])
        for name in ("sats", "mode", "quality", "valid", "doubt"):
            for f, x in zip(fixes, self.sequence(n, self.flags)[0]):
                f[name] = x
        body.deal_fixes(fixes, counts)
        return times[0], second
