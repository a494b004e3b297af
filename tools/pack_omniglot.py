"""Pack the characters that ship from the two small sets of Omniglot. Run once, by hand.

    git clone https://github.com/brendenlake/omniglot
    cd omniglot && git checkout 057f034baf && cd ..
    python tools/pack_omniglot.py omniglot/python/images_background_small[12].zip

Two runs write the same bytes. Needs nvn with the extra `recipes`.
"""

import argparse
import hashlib
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from nvn_recipes.groupgan.data.drawings.omniglot import OMNIGLOT, About, write_sheet
from PIL import Image

SHA256 = (
    "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
)
SOURCE = "https://github.com/brendenlake/omniglot, images_background_small1 and _small2"
SIDE, PEOPLE = 105, 20
NAME = re.compile(r"[^/]+/([^/]+)/character(\d+)/\d+_(\d+)\.png")


class Place(NamedTuple):
    """Which drawing it is."""

    alphabet: str
    character: int
    person: int


def drawings(path: Path) -> dict[Place, NDArray[np.bool_]]:
    """The drawings in one archive: whether a pixel is paper."""
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) not in SHA256:
        raise SystemExit(f"{path} has the SHA-256 {found}; expected {' or '.join(SHA256)}")
    read = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if named := NAME.fullmatch(name):
                place = Place(named[1], int(named[2]), int(named[3]))
                with archive.open(name) as file:
                    read[place] = np.asarray(Image.open(file).convert("1"))
    return read


def pack(paths: list[Path], out: Path) -> None:
    """Write the drawings of both archives, those in both once, as one sheet."""
    read: dict[Place, NDArray[np.bool_]] = {}
    for path in paths:
        read |= drawings(path)
    characters = sorted({place[:2] for place in read})
    paper = np.stack([read[place] for place in sorted(read)])
    alphabets = Counter(alphabet.replace("_", " ") for alphabet, _ in characters)
    write_sheet(
        paper.reshape(len(characters), PEOPLE, SIDE, SIDE),
        About(SOURCE, "MIT", SIDE, PEOPLE, dict(alphabets)),
        out,
    )
    print(
        f"{out}: {len(read)} drawings of {len(characters)} characters, {out.stat().st_size} bytes"
    )


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, default=OMNIGLOT, help="another file than what ships")
    arguments = parser.parse_args()
    pack(arguments.archives, arguments.out)


if __name__ == "__main__":
    main()
