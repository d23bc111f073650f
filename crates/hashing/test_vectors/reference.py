"""The hash format, version 1, a second time: from docs/hash-format.md, in Python 3.11 and its standard library.

reference.py v1.json    checks every vector, prints as they should be those that differ, fails if there is one
reference.py --jsonl    prints the hash of the JSON lines on standard input
"""
import hashlib, json, math, struct, sys

FLOATS = {"f32": (b"\x06", 4, 0x7F800000), "f64": (b"\x07", 8, 0x7FF0000000000000)}
CONTAINERS = {"some", "sequence", "tuple", "map", "struct", "variant"}

class Refused(ValueError): """The input has no hash."""
class Object(list): """The entries of a JSON object, in their order."""
class Apart(list): """Shapes whose names are not written where they are defined."""

def digest(kind, *parts):
    return hashlib.sha256(b"rowmark " + kind + b"\x00\x01" + b"".join(parts)).digest()

def length(n):
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80]) + length(n >> 7)

def text(s):
    return length(len(s.encode("utf-8"))) + s.encode("utf-8")

def names(shape):
    return length(len(shape)) + b"".join(map(text, shape))

def encode(value, shapes, depth=0):
    if value[0] in CONTAINERS and depth == 128:
        raise Refused("too deep")
    inner = lambda v: encode(v, shapes, depth + 1)
    match value:
        case ["unit" | "none" | "skipped" as kind]:
            return b"\x01" if kind == "unit" else b"\x04"
        case ["bool", truth]:
            return b"\x03" if truth else b"\x02"
        case ["some", v]:
            return b"\x05" + inner(v)
        case [("f32" | "f64") as kind, digits]:
            (tag, width, infinity), bits = FLOATS[kind], int(digits, 16)
            if bits & (2 ** (8 * width - 1) - 1) > infinity:  # a NaN: quiet, positive, without payload
                bits = infinity | (infinity & -infinity) >> 1
            return tag + bits.to_bytes(width, "little")
        case ["char", c]:
            return b"\x08" + ord(c).to_bytes(4, "little")
        case ["string", s]:
            return b"\x09" + text(s)
        case ["bytes", digits]:
            return b"\x0a" + length(len(digits) // 2) + bytes.fromhex(digits)
        case [("sequence" | "tuple") as kind, items]:
            return (b"\x0b" if kind == "sequence" else b"\x0c") + b"".join(map(inner, items)) + b"\x00"
        case ["map", pairs]:
            entries = {encode(k, [], depth + 1): encode(v, [], depth + 1) for k, v in pairs}
            if len(entries) < len(pairs):
                raise Refused("duplicate key")
            return b"\x0d" + b"".join(key + entries[key] for key in sorted(entries)) + b"\x00"
        case ["struct", fields]:
            body = b"\x0e" + b"".join(inner(v) for _, v in fields) + b"\x00"
            shape = [name for name, _ in fields]
            if shape in shapes:
                return body + length(shapes.index(shape))
            shapes.append(shape)
            return body + length(len(shapes) - 1) + (b"" if isinstance(shapes, Apart) else names(shape))
        case ["variant", name, *payload]:
            return b"\x0f" + text(name) + inner(*payload or [["unit"]])
        case ["newtype", v] | ["nested", 0, v]:
            return encode(v, shapes, depth)
        case ["nested", n, v]:
            return encode(["sequence", [["nested", n - 1, v]]], shapes, depth)
        case [_, number]:  # an integer of some width
            n = int(number)
            if not -(2**127) <= n < 2**128:
                raise Refused("integer out of range")
            tag, n = (0x10, n) if n >= 0 else (0x30, -1 - n)
            width = (n.bit_length() + 7) // 8
            return bytes([tag + width]) + n.to_bytes(width, "little")

def hash_value(value):
    return digest(b"value", encode(value, []))

def hash_rows(rows):
    chunks = []
    for i in range(0, len(rows), 1024):
        shapes = []  # of this chunk
        chunks.append(digest(b"chunk", *[encode(row, shapes) for row in rows[i : i + 1024]]))
    return digest(b"rows", *chunks, struct.pack("<Q", len(rows)))

def hash_row(context, value):
    shapes = Apart()
    row = encode(value, shapes)
    defined = digest(b"names", context, length(len(shapes)), *map(names, shapes))
    return hashlib.sha256(b"rowmark row\x00\x01".ljust(32, b"\x00") + defined + row).digest()[:24]

def hash_unordered(rows):
    total = 0
    for row in map(hash_value, rows):
        total += int.from_bytes(b"".join(digest(b"element", row, bytes([i])) for i in range(16)), "little")
    return digest(b"unordered", (total % 2**4096).to_bytes(512, "little"), struct.pack("<Q", len(rows)))

def hash_bytes(data):
    blocks = [digest(b"block", data[i : i + 2**20]) for i in range(0, len(data), 2**20)]
    return digest(b"bytes", *blocks, struct.pack("<Q", len(data)))

def hash_fingerprint(domain, components):
    parts = [text(label) + hash_value(value) for label, value in components]
    return digest(b"fingerprint", text(domain), length(len(parts)), *parts)

def from_json(v):
    match v:
        case None:
            return ["unit"]
        case bool() | int() | str():
            return [{bool: "bool", int: "integer", str: "string"}[type(v)], v]
        case float():
            if not math.isfinite(v):
                raise Refused("number out of range")
            return ["f64", struct.pack(">d", v).hex()]
        case Object():
            return ["map", [[["string", key], from_json(item)] for key, item in v]]
        case list():
            return ["sequence", [from_json(item) for item in v]]

def hash_json_lines(data):
    lines = [line for line in data.split("\n") if line.strip(" \t\r")]
    return hash_rows([from_json(json.loads(line, object_pairs_hook=Object)) for line in lines])

def at(value, index):
    if value == ["index"]:
        return ["u64", str(index)]
    return [at(part, index) for part in value] if isinstance(value, list) else value

def hash_vector(vector):
    count, what = vector.get("repeat", (0, ""))
    match vector["kind"]:
        case "value":
            return hash_value(vector["value"])
        case "row":
            return hash_row(bytes.fromhex(vector["context"]), vector["value"])
        case "bytes":
            return hash_bytes(bytes.fromhex(vector.get("bytes", "") + what * count))
        case "fingerprint":
            return hash_fingerprint(vector["domain"], vector["components"])
        case "json_lines":
            return hash_json_lines(vector["text"])
        case kind:
            rows = vector.get("rows", []) + [at(what, index) for index in range(count)]
            return {"rows": hash_rows, "unordered": hash_unordered}[kind](rows)

def derive(vector):
    """The vector with the hash, and the encoding if it has one, that follow from the page."""
    try:
        found = {"hash": hash_vector(vector).hex()}
    except ValueError:
        return vector | {"hash": None}
    return vector | found | ({"encoding": encode(vector["value"], []).hex()} if "encoding" in vector else {})

if __name__ == "__main__":
    if sys.argv[1] == "--jsonl":
        sys.exit(print(hash_json_lines(sys.stdin.buffer.read().decode("utf-8")).hex()))
    vectors = json.load(open(sys.argv[1], encoding="utf-8"))
    wrong = [json.dumps(new) for old, new in zip(vectors, map(derive, vectors)) if old != new]
    print(f"{len(vectors)} vectors, {len(wrong)} differ", *wrong, sep="\n")
    sys.exit(bool(wrong))
