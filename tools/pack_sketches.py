"""Pack the drawings that ship from the npm packages that hold them. Run once, by hand.

    npm pack @iconify-json/streamline-freehand-color@1.2.2
    npm pack openmoji@17.0.0
    python tools/pack_sketches.py freehand iconify-json-streamline-freehand-color-1.2.2.tgz
    python tools/pack_sketches.py openmoji openmoji-17.0.0.tgz

Two runs write the same bytes. Needs nvn with the extra `recipes`.
"""

import argparse
import hashlib
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from nvn_recipes.groupgan.data.drawings.likeness import merge_alike
from nvn_recipes.groupgan.data.drawings.vectors import (
    FREEHAND,
    OPENMOJI,
    Vectors,
    rasterized,
    write_vectors,
)

SHA256 = {
    "freehand": "00d74cbddaf1bcf35c8614ac0544d10af69c7cee8801475473fe424ee0c0c642",
    "openmoji": "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
}
SIDE = 64  # pixels, at which drawings are compared
# OpenMoji's groups that show things and animals. Flags, faces, people (each in three genders and
# five skin tones), brands, signs and letters are not what one sketches, or one drawing many times.
THINGS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")
FEWEST = 15  # groups of drawings in a class of OpenMoji
FULLEST = 0.35  # share of ink: what is darker is a silhouette


class Entry(NamedTuple):
    """A drawing, its class, and a name that it shares with its variants."""

    name: str
    kind: str
    stem: str
    body: str


def freehand(archive: tarfile.TarFile) -> Iterator[Entry]:
    """Every icon; both inks black. `-1`, `-2` at the end of a name number variants."""
    icons = read_json(archive, "package/icons.json")["icons"]
    categories = read_json(archive, "package/metadata.json")["categories"]
    for category, names in sorted(categories.items()):
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", category).lower()
        for name in sorted(names):
            body = re.sub("#020202|#0c6fff", "#000", icons[name]["body"])
            yield Entry(name, kind, re.sub(r"-\d$", "", name), body)


def openmoji(archive: tarfile.TarFile) -> Iterator[Entry]:
    """Drawings of things. Those whose code begins alike are variants."""
    for emoji in read_json(archive, "package/data/openmoji.json"):
        if emoji["group"] not in THINGS or emoji["skintone"]:
            continue
        code = emoji["hexcode"]
        svg = read(archive, f"package/black/svg/{code}.svg").decode()
        inside = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
        body = re.sub(r' id="[^"]*"', "", re.sub(r">\s+<", "><", inside.strip()))
        yield Entry(
            emoji["annotation"], emoji["subgroups"], code.split("-")[0],
            re.sub(r"\s+", " ", body).replace("#000000", "#000"),
        )  # fmt: skip


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of the archive."""
    file = archive.extractfile(name)
    assert file is not None, name
    return file.read()


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    """A JSON file of the archive."""
    return json.loads(read(archive, name))


def vectors_of(
    entries: Iterable[Entry], source: str, license: str, box: tuple[float, float, float, float]
) -> Vectors:
    """All entries as one set, nearly equal drawings in one group."""
    names, kinds, stems, bodies = zip(*entries, strict=True)
    classes = tuple(sorted(set(kinds)))
    known = sorted(set(stems))
    label = tuple(classes.index(kind) for kind in kinds)
    group = tuple(known.index(stem) for stem in stems)
    vectors = Vectors(source, license, box, classes, names, label, group, bodies)
    merged = merge_alike(rasterized(vectors, SIDE), torch.tensor(group))
    return replace(vectors, group=tuple(merged.tolist()))


def suitable(entries: list[Entry], vectors: Vectors) -> list[Entry]:
    """The entries that are no silhouettes, of classes that hold enough different drawings."""
    ink = (rasterized(vectors, SIDE) < 128).float().mean((1, 2, 3)).tolist()
    kept = [k for k, share in enumerate(ink) if share <= FULLEST]
    groups = defaultdict(set)
    for k in kept:
        groups[entries[k].kind].add(vectors.group[k])
    return [entries[k] for k in kept if len(groups[entries[k].kind]) >= FEWEST]


def pack(name: str, path: Path) -> Vectors:
    """Read a package's archive, and check that it is the one that the set was made of."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[name]:
        raise SystemExit(f"{path} has the SHA-256 {found}; expected {SHA256[name]}")
    with tarfile.open(path) as archive:
        if name == "freehand":
            # The icons fill their box to its edge; a margin lets slashes end beside them.
            return vectors_of(
                freehand(archive), "@iconify-json/streamline-freehand-color 1.2.2", "CC-BY-4.0",
                (-0.75, -0.75, 25.5, 25.5),
            )  # fmt: skip
        about = ("openmoji 17.0.0", "CC-BY-SA-4.0", (0, 0, 72, 72))
        entries = list(openmoji(archive))
        return vectors_of(suitable(entries, vectors_of(entries, *about)), *about)


def main() -> None:
    """Write one of the two sets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", choices=SHA256)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, help="another file than the one that ships")
    arguments = parser.parse_args()
    out = arguments.out or {"freehand": FREEHAND, "openmoji": OPENMOJI}[arguments.set]
    vectors = pack(arguments.set, arguments.archive)
    write_vectors(vectors, out)
    print(
        f"{out}: {len(vectors)} drawings, {len(vectors.classes)} classes, "
        f"{len(set(vectors.group))} groups, {out.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
