"""Reads a table as docs/format.md draws it, and nothing else: `read_table.py FOLDER` prints its rows. Needs pyarrow."""
import json, struct, sys
from pathlib import Path
import pyarrow as pa

SEGMENT, FOOTER = b"\x89RMSEG\r\n", b"\x89RMEND\r\n"
def crc32c(data, crc=0xFFFFFFFF):
    for bit in (byte >> bit & 1 for byte in data for bit in range(8)):
        crc = crc >> 1 ^ (0x82F63B78 if (crc ^ bit) & 1 else 0)
    return crc ^ 0xFFFFFFFF
def checked(path, magic):
    data = path.read_bytes()
    found, version, _flags, crc = struct.unpack_from("<8sHHI", data)
    if found != magic or version > 3:
        sys.exit(f"{path} is not a file of a format version that this script knows")
    size, = struct.unpack_from("<I" if magic == SEGMENT else "<Q", data, 16)
    assert crc == crc32c(data[:12] + data[16:size]), f"{path} is damaged"
    return data, size

folder = Path(sys.argv[1])
segments = [checked(path, SEGMENT) for path in sorted(folder.glob("*.seg"))]
# How much of each segment holds frames: its successor says it, or the footer; of the last one it is found out.
ends = [struct.unpack_from("<Q", data, 40)[0] for data, _ in segments[1:]] + [len(segments[-1][0])]
if (folder / "footer").exists():
    footer, at = checked(folder / "footer", FOOTER)[0], 24
    for _ in ("schema", "record"):
        at += 4 + struct.unpack_from("<I", footer, at)[0]
    ends = [end for _, _, end in struct.iter_unpack("<IQQ", footer[at + 52:at + 52 + 20 * len(segments)])]
batches = []
for (data, at), end in zip(segments, ends):
    schema = pa.ipc.read_schema(pa.py_buffer(data[64:64 + struct.unpack_from("<I", data, 56)[0]]))
    while at + 96 <= end:
        marker, crc, offset, _, size, _, first, past, rows = struct.unpack_from("<4sI7Q", data, at)
        frame = data[at + 8:at + 96 + size]
        if marker not in (b"RMFR", b"RMFI") or offset != at or len(frame) != 88 + size or crc != crc32c(frame):
            break  # the torn tail that a crash leaves
        told = 88
        if marker == b"RMFI":  # The batch stands behind digests, 32 bytes each, and input rows, 24 bytes or 28 each.
            told += 16 + 32 * (frame[94] + int.from_bytes(frame[96:104], "little"))
            told += 8 + (past - first) * {1: 24, 2: 28}[frame[told + 4]] + 7 & -8
        batches += [(first, pa.ipc.read_record_batch(pa.py_buffer(frame[told:]), schema))] if rows else []
        at += 96 + size
for _, batch in sorted(batches, key=lambda item: item[0]):
    print(*map(json.dumps, batch.to_pylist()), sep="\n")
