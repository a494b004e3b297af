"""Which pictures a classifier finds easy: a file of scores, and the peaks chosen by it.

For sets without peaks: Niu et al. (2022), section 4, take those pictures for peaks that a
classifier, trained on the set, is sure of. Scores are a CSV file with the columns `path` (beneath
the root, with slashes) and `confidence` (the probability that it gives to the right class).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import nvn

from .files import text

AT_ONCE = 256  # pictures given to a classifier
COLUMNS = ("path", "confidence")


def write_scores(
    file: Path | str,
    names: Sequence[str],
    pictures: Tensor,
    label: Tensor,
    classifier: Callable[[Tensor], Tensor],
) -> None:
    """Write how sure a classifier is of pictures.

    Args:
        file: The file to write.
        names: The pictures' paths beneath the root, N of them.
        pictures: The pictures, (N, 3, S, S) uint8.
        label: Their classes, (N,) int64.
        classifier: From pictures (M, 3, S, S) uint8 to logits (M, K), in eval mode.

    Raises:
        RunError: If the file cannot be written.
    """
    with torch.no_grad():
        logits = torch.cat([classifier(part).cpu() for part in torch.split(pictures, AT_ONCE)])
    sure = logits.double().softmax(dim=1)[torch.arange(len(label)), label]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows((name, f"{each:.6f}") for name, each in zip(names, sure, strict=True))
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    nvn.files.atomic_write(file, out.getvalue().encode("utf-8", "surrogateescape"))


def read_scores(file: Path) -> dict[str, float]:
    """Return the confidence of each path in a file of scores.

    Raises:
        DataError: If the file is missing, or not of that form.
    """
    rows = csv.DictReader(io.StringIO(text(file, "scores", errors="surrogateescape"), newline=""))
    try:
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise nvn.DataError(f"{file}, line 1: expected the columns {', '.join(COLUMNS)}")
        return {row["path"]: _confidence(row, file, rows.line_num) for row in rows}
    except csv.Error as error:
        raise nvn.DataError(f"The scores {file} cannot be read: {error}") from error


def _confidence(row: Mapping[str, str | None], file: Path, line: int) -> float:
    found = row["confidence"]
    try:
        confidence = float(found or "")
    except ValueError:
        confidence = math.nan
    if not 0 <= confidence <= 1:
        raise nvn.DataError(f"{file}, line {line}: a confidence is from 0 to 1, not {found!r}")
    return confidence


def easiest(confidence: Tensor, label: Tensor, share: float) -> Tensor:
    """Return which pictures are the easiest of their class, (N,) bool: of each class at least one.

    Args:
        confidence: How sure a classifier is of each, (N,).
        label: Their classes, (N,).
        share: How many of a class are easy, from 0 to 1.
    """
    easy = torch.zeros(len(label), dtype=torch.bool)
    for each in torch.unique(label).tolist():
        of_class = (label == each).nonzero().flatten()
        order = confidence[of_class].argsort(descending=True, stable=True)
        easy[of_class[order[: max(1, round(share * len(of_class)))]]] = True
    return easy


def partners(
    label: Tensor, own: Tensor, peak_label: Tensor, peaks: Tensor, generator: torch.Generator
) -> Tensor:
    """Return a peak for each picture, of its class and at random, (N,): itself only if alone.

    Args:
        label: The pictures' classes, (N,).
        own: The pictures' numbers, (N,).
        peak_label: The peaks' classes, (M,); each class of `label` is among them.
        peaks: The peaks' numbers, (M,).
        generator: What draws.
    """
    chosen = torch.empty_like(own)
    for each in torch.unique(label).tolist():
        rows, of_class = label == each, peaks[peak_label == each]
        drawn = torch.randint(len(of_class), (int(rows.sum()),), generator=generator)
        met_itself = of_class[drawn] == own[rows]
        chosen[rows] = of_class[(drawn + met_itself) % len(of_class)]
    return chosen
