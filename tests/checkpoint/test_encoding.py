"""A state comes back as it was, to the bit; what cannot be written is named."""

import json
import math
from collections import Counter, OrderedDict, deque
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from nvn.checkpoint.encoding import EncodingError, decode, encode

_DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32),
    *(torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128),
]


def again(state: object) -> Any:
    """Through JSON and a file of safetensors, as on disk."""
    tree, tensors = encode(state)
    return decode(json.loads(json.dumps(tree, allow_nan=False)), load(save(tensors)))


def same(a: Any, b: Any) -> bool:
    """Equal in type and to the bit, NaN included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        if a.layout is not torch.strided:
            return a.layout is b.layout and a.shape == b.shape and same(_parts(a), _parts(b))
        # (Of a contiguous tensor, the strides of empty and of single dimensions mean nothing.)
        laid = (a.is_contiguous() and b.is_contiguous()) or a.stride() == b.stride()
        return a.dtype == b.dtype and a.shape == b.shape and laid and _bits(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        pairs = zip(a.items(), b.items(), strict=True)
        return len(a) == len(b) and all(same(k, m) and same(x, y) for (k, x), (m, y) in pairs)
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b) and math.copysign(1, a) == math.copysign(1, b) if _real(a) else bool(a == b)


def _real(x: object) -> bool:
    return isinstance(x, float)


def _bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    flat = (torch.view_as_real(x) if x.is_complex() else x for x in (a, b))
    first, second = (
        x.clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8) for x in flat
    )
    return torch.equal(first, second)


def _parts(tensor: torch.Tensor) -> list[Any]:
    if tensor.layout is torch.sparse_coo:
        return [tensor.is_coalesced(), tensor._indices().contiguous(), tensor._values()]
    return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]


@st.composite
def _tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from(_DTYPES))
    tensor = (8 * torch.randn(shape, generator=generator, dtype=torch.complex128)).to(
        dtype if dtype.is_complex else torch.complex128
    )
    if not dtype.is_complex:
        tensor = tensor.real.clone().to(dtype)
    if draw(st.booleans()) and tensor.dim() > 1:
        tensor = tensor.transpose(0, 1)
    return tensor


_LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    *(st.complex_numbers(allow_nan=False), st.sampled_from(_DTYPES), _tensors()),
    st.lists(st.floats(width=32), max_size=3).map(lambda xs: np.array(xs, dtype=np.float32)),
    st.integers(-9, 9).map(np.int64),
)
_KEYS = st.one_of(st.text(), st.integers(), st.just("$"), st.tuples(st.text(), st.integers()))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=3)
    return st.one_of(
        *(some, some.map(tuple), some.map(deque)),
        *(st.dictionaries(_KEYS, inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict),
        st.sets(st.integers(), max_size=3),
        st.dictionaries(st.text(), st.integers(), max_size=3).map(Counter),
    )


@given(st.recursive(_LEAVES, _nested, max_leaves=12))
def test_any_state_comes_back_to_the_bit(state: object) -> None:
    assert same(again(state), _plain(state))


def _plain(state: Any) -> Any:
    """What JSON has a word for is that: an OrderedDict with names for keys is a dict."""
    if type(state) is OrderedDict and "$" not in state:
        return {key: _plain(part) for key, part in state.items()}
    if isinstance(state, Counter):
        return state
    if isinstance(state, dict):
        return type(state)((key, _plain(part)) for key, part in state.items())
    if isinstance(state, list | tuple | deque):
        return type(state)(_plain(part) for part in state)
    return state


@pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant)")
@pytest.mark.parametrize("layout", ["coo", "coalesced", "csr"])
def test_sparse_tensors_come_back_as_they_were(layout: str) -> None:
    sparse = torch.sparse_coo_tensor([[0, 2, 0], [1, 1, 1]], [1.0, 2.0, 3.0], (3, 4))
    tensor = {"coo": sparse, "coalesced": sparse.coalesce(), "csr": sparse.to_sparse_csr()}[layout]
    assert same(again({"a": tensor})["a"], tensor)


def test_the_state_of_an_optimizer_comes_back() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([parameter], amsgrad=True)
    for _ in range(3):
        parameter.grad = torch.rand(3)
        adam.step()
    assert same(again(adam.state_dict()), adam.state_dict())


def test_what_is_encoded_shares_no_memory_with_the_state() -> None:
    state = {"a": torch.zeros(2), "b": np.zeros(2), "c": [torch.zeros(2).t()]}
    encoded = encode(state)
    state["a"] += 1
    state["b"] += 1
    state["c"][0] += 1
    assert all(float(tensor.sum()) == 0 for tensor in encoded.tensors.values())


@pytest.mark.filterwarnings(
    "ignore:torch.quantize", "ignore:TypedStorage", "ignore:The PyTorch API"
)
def test_all_that_cannot_be_written_is_named_by_its_path() -> None:
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    state = {"G": {"q": quantized, "n": nested}, "more": [1, object()], "fine": 3}
    with pytest.raises(EncodingError) as caught:
        encode(state)
    paths = [problem.partition(":")[0] for problem in caught.value.problems]
    assert paths == ["G/q", "G/n", "more/1"]
    assert "quantized" in caught.value.problems[0]


@pytest.mark.parametrize(
    "tree",
    [
        *({"$": "eval", "value": "1"}, {"$": "tensor", "at": "missing"}, {"$": "tensor"}),
        *({"$": ["a"]}, {"$": "dtype", "value": "save"}, {"$": "float", "value": "x"}),
        *({"$": "sparse", "parts": [1, 2]}, {"$": "bytes", "value": 3}, {"$": "tuple"}),
    ],
)
def test_what_is_no_encoded_state_is_an_error_of_its_own(tree: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(tree, {})
