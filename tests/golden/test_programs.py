"""What a plan is lowered to, and written out as, changes only on purpose."""

from __future__ import annotations

import pytest

from tests.golden.programs import PLANS, path, written


@pytest.mark.parametrize("name", PLANS)
def test_the_program_stands(name: str) -> None:
    assert written(name) == path(name).read_text()
