"""Edges of operations, with the values, dtypes and gradients that PyTorch gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs

NAN, INF = math.nan, math.inf


def grads(f, *values, dtype=gs.float64):
    """The gradients of f(*values).sum()."""
    inputs = [gs.tensor(v, dtype=dtype, requires_grad=True) for v in values]
    return [g.tolist() for g in gs.autograd.grad(f(*inputs).sum(), inputs)]


class TestClamp:
    @pytest.mark.parametrize(
        ("dtype", "bounds", "expected"),
        [
            (gs.int64, {"min": 0.5}, gs.float32),
            (gs.int8, {"max": 2}, gs.int8),
            (gs.bool, {"min": 1}, gs.int64),
            (gs.bool, {"max": 0.5}, gs.float32),
            (gs.float16, {"min": 0.5}, gs.float16),
        ],
    )
    def test_a_bound_takes_part_in_promotion(self, dtype, bounds, expected):
        out = gs.clamp(gs.tensor([0, 1], dtype=dtype), **bounds)
        assert out.dtype == expected

    def test_values_after_promotion(self):
        assert gs.tensor([-3, 0, 3]).clamp(-0.5, 1.5).tolist() == [-0.5, 0.0, 1.5]

    @pytest.mark.parametrize("bounds", [(NAN, 1.0), (0.0, NAN), (NAN, None), (None, NAN)])
    def test_a_nan_bound_gives_nan(self, bounds):
        assert gs.isnan(gs.tensor([-1.0, 0.5, 2.0]).clamp(*bounds)).all()

    def test_tensors_as_bounds(self):
        x = gs.tensor([[-2.0, 0.0, 2.0], [5.0, NAN, -5.0]])
        low, high = gs.tensor([-1.0, -1.0, -1.0]), gs.tensor([[1.0], [3.0]])
        out = x.clamp(low, high)
        assert out[0].tolist() == [-1.0, 0.0, 1.0]
        assert out[1, 0] == 3.0 and gs.isnan(out[1, 1]) and out[1, 2] == -1.0
        assert gs.tensor([1, 5]).clamp(gs.tensor([2, 2])).tolist() == [2, 5]
        assert gs.clamp(gs.tensor([1, 5]), max=gs.tensor([0.5, 9.0])).tolist() == [0.5, 5.0]

    def test_the_gradient_goes_to_what_was_chosen(self):
        got = grads(lambda x, a, b: x.clamp(a, b), [-2.0, 1.0, 4.0, 3.0], [0.0] * 4, [3.0] * 4)
        assert got == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]

    def test_in_place_refuses_what_it_cannot_hold(self):
        whole = gs.tensor([1, 2])
        with pytest.raises(TypeError, match=r"\[clamp_\] a result of dtype float32"):
            whole.clamp_(0.5)
        with pytest.raises(ValueError, match=r"\[clamp_\] expected bounds that broadcast"):
            whole.clamp_(gs.zeros(2, 2, dtype=gs.int64))
        assert whole.tolist() == [1, 2]
        assert whole.clamp_(max=gs.tensor(1)).tolist() == [1, 1]


class TestGradients:
    @pytest.mark.parametrize("base", [2, 0.5, 1, 0, True])
    @pytest.mark.parametrize("dtype", [gs.float16, gs.float32, gs.float64])
    def test_second_derivative_of_a_number_to_a_power(self, base, dtype):
        x = gs.tensor([1.5, 2.0], dtype=dtype, requires_grad=True)
        (first,) = gs.autograd.grad((base**x).sum(), x, create_graph=True)
        (second,) = gs.autograd.grad(first.sum(), x)
        slope = math.log(base) if base else 0.0
        np.testing.assert_allclose(
            second.double().numpy(), [base**v * slope**2 for v in (1.5, 2.0)], rtol=2e-3
        )

    @pytest.mark.parametrize("f", [gs.std, lambda x: gs.std(x, 0), lambda x: gs.std_mean(x)[0]])
    def test_std_of_equal_numbers(self, f):
        assert grads(f, [2.0, 2.0, 2.0]) == [[0, 0, 0]]

    @pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3])
    def test_norm_at_zero(self, p):
        assert grads(lambda x: gs.norm(x, p), [0.0, 0.0]) == [[0, 0]]

    def test_norm_with_some_zeros(self):
        assert grads(lambda x: gs.norm(x, 0.5), [4.0, 0.0]) == [[1, 0]]

    def test_atan2_at_the_origin(self):
        assert grads(gs.atan2, [0.0, 1.0], [0.0, 0.0]) == [[0, 0], [0, -1]]


class TestReductions:
    def test_norm_counts_with_keepdim(self):
        x = gs.tensor([[0.0, 2.0], [0.0, 0.0]])
        assert gs.norm(x, 0, 1, True).tolist() == [[1.0], [0.0]]
        assert gs.norm(x, 0, 1).tolist() == [1.0, 0.0]

    def test_norm_takes_the_name_of_the_frobenius_norm(self):
        assert gs.norm(gs.tensor([[3.0, 4.0]]), "fro").item() == 5
        assert gs.tensor([3, 4]).norm(p="fro", dtype=gs.float64).item() == 5
        with pytest.raises(ValueError, match="'fro', got 'nuc'"):
            gs.norm(gs.ones(2, 2), "nuc")

    @pytest.mark.parametrize("name", ["cumsum", "cumprod"])
    def test_scans_take_a_dtype(self, name):
        wanted = [1, 3, 6, 255] if name == "cumsum" else [1, 2, 6, 1494]
        for dtype in (gs.uint8, gs.int16, gs.int32, gs.int64):
            out = getattr(gs, name)(gs.tensor([1.5, 2.5, 3.5, 249.0]), 0, dtype=dtype)
            assert out.dtype == dtype
            assert out.tolist() == [n % 256 if dtype == gs.uint8 else n for n in wanted]
        assert getattr(gs.tensor([True, True]), name)(0, dtype=gs.float32).dtype == gs.float32

    def test_median_of_a_number_along_its_only_dimension(self):
        found = gs.tensor(3.0).median(-1, keepdim=True)
        assert found.values.shape == () and found.values == 3 and found.indices == 0
        with pytest.raises(IndexError):
            gs.tensor(3.0).median(1)

    def test_a_product_of_truth_values(self):
        assert gs.tensor([0.5, 0.5]).prod(dtype=gs.bool).item() is True
        assert gs.tensor([[0.5, 0.0]]).prod(1, dtype=gs.bool).tolist() == [False]

    def test_median_of_nothing(self):
        assert gs.isnan(gs.zeros(0).median())


class TestRounding:
    @pytest.mark.parametrize(
        ("decimals", "expected"),
        [(0, [1235.0, -0.0]), (2, [1234.57, -0.35]), (-2, [1200.0, -0.0])],
    )
    def test_decimals(self, decimals, expected):
        x = gs.tensor([1234.5678, -0.345678], dtype=gs.float64)
        assert gs.round(x, decimals=decimals).tolist() == expected

    def test_decimals_of_integers(self):
        with pytest.raises(TypeError, match=r"\[round\]"):
            gs.round(gs.tensor([1]), decimals=1)

    @pytest.mark.parametrize("dtype", [gs.float16, gs.float32, gs.float64])
    @pytest.mark.parametrize("weight", [0, 1])
    def test_lerp_ends_at_its_ends(self, dtype, weight):
        a = gs.tensor([3.25, 1e4, -0.1], dtype=dtype)
        b = gs.tensor([-0.362, 0.1029, 7.3], dtype=dtype)
        ends = (a, b)
        assert gs.equal(gs.lerp(a, b, weight), ends[weight])
        assert gs.equal(gs.lerp(a, b, gs.full_like(a, weight)), ends[weight])


class TestNumbersThatDoNotFit:
    @pytest.mark.parametrize("value", [NAN, INF, -INF, 1e300, 2.0**63])
    def test_integers_refuse(self, value):
        x = gs.zeros(3, dtype=gs.int64)
        mask, at = gs.tensor([True, False, True]), gs.tensor([0, 2])
        for write in (
            lambda: x.fill_(value),
            lambda: x.masked_fill_(mask, value),
            lambda: x.__setitem__(0, value),
            lambda: x.__setitem__(mask, value),
            lambda: x.__setitem__(at, value),
            lambda: x.scatter_(0, at, value),
            lambda: gs.full((2,), value, dtype=gs.int64),
        ):
            with pytest.raises(ValueError, match="does not fit in dtype int64"):
                write()
        with pytest.raises(RuntimeError, match="does not fit in dtype int64"):
            gs.tensor([value], dtype=gs.int64)
        assert x.tolist() == [0, 0, 0]

    def test_small_integers(self):
        with pytest.raises(ValueError, match="the number 300 does not fit in dtype uint8"):
            gs.full((2,), 300, dtype=gs.uint8)
        assert gs.full((2,), -1, dtype=gs.uint8).tolist() == [255, 255]
        assert gs.full((1,), 127.9, dtype=gs.int8).item() == 127
        assert gs.full((1,), 2**63 - 1).item() == 2**63 - 1

    @pytest.mark.parametrize("value", [1e40, INF, NAN, 0.5, -(2**62)])
    def test_bool_is_whether_it_is_zero(self, value):
        assert gs.zeros(2, dtype=gs.bool).fill_(value).tolist() == [True, True]
        assert gs.full((1,), value, dtype=gs.bool).item() is True


class TestMemory:
    @pytest.mark.parametrize(
        "f",
        [
            lambda x: x.repeat_interleave(2),
            lambda x: x.repeat_interleave(3, dim=0),
            lambda x: x.repeat_interleave(gs.tensor([2])),
            lambda x: x.expand(4).ravel(),
        ],
    )
    def test_copies_share_nothing(self, f):
        x = gs.ones(1)
        out = f(x)
        out[0] = 5
        assert x.item() == 1 and out[1:].eq(1).all() and out.is_contiguous()

    def test_data_takes_another_shape_of_the_same_memory(self):
        x = gs.ones(2, 3)
        square = (x.requires_grad_() ** 2).sum()
        x.data = x.data.t()
        assert x.shape == (3, 2) and x.stride() == (1, 3)
        with pytest.raises(RuntimeError, match="changed by an in-place"):
            square.backward()

    def test_shifts_in_place(self):
        x = gs.tensor([1, 2], dtype=gs.int16)
        same = x
        x <<= 3
        assert x is same and x.tolist() == [8, 16] and x.dtype == gs.int16
        x >>= gs.tensor(2)
        assert same.tolist() == [2, 4]
        with pytest.raises(ValueError, match="bitwise_left_shift_"):
            x <<= gs.tensor([1, 1, 1])


class TestIndices:
    def test_repeats_for_each_position(self):
        x = gs.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        out = x.repeat_interleave(gs.tensor([1, 2]), dim=1)
        assert out.tolist() == [[1, 2, 2], [3, 4, 4]]
        out.sum().backward()
        assert x.grad.tolist() == [[1, 2], [1, 2]]
        assert gs.repeat_interleave(gs.tensor([0, 2, 1])).tolist() == [1, 1, 2]
        for wrong in (gs.tensor([1, 2, 3]), gs.tensor([1.0, 2.0]), gs.tensor([1, -1])):
            with pytest.raises(ValueError, match=r"\[repeat_interleave\]"):
                gs.ones(2).repeat_interleave(wrong)

    def test_take_along_dim_counts_from_the_end(self):
        x = gs.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
        out = gs.take_along_dim(x, gs.tensor([[-1, 0]]), 1)
        assert out.tolist() == [[3, 1]]
        out.sum().backward()
        assert x.grad.tolist() == [[1, 0, 1]]
        with pytest.raises(IndexError):
            gs.take_along_dim(x, gs.tensor([[-4]]), 1)

    def test_a_range_is_an_index(self):
        x = gs.arange(5)
        assert x[range(1, 4)].tolist() == [1, 2, 3]
        x[range(2)] = 9
        assert x.tolist() == [9, 9, 2, 3, 4]

    def test_leading_ones_of_what_is_assigned_are_dropped(self):
        x = gs.zeros(3, 2)
        x[gs.tensor([True, False, True])] = gs.ones(1, 1, 2, 2)
        x[gs.tensor([1])] = gs.full((1, 1, 1, 1), 5.0)
        assert x.tolist() == [[1, 1], [5, 5], [1, 1]]
        x[:, gs.tensor([0])] = gs.zeros(1, 3, 1)
        assert x.tolist() == [[0, 1], [0, 5], [0, 1]]
        with pytest.raises(ValueError, match="broadcast"):
            x[gs.tensor([1])] = gs.ones(2, 1, 2)

    def test_index_fill_and_copy_take_positions_only(self):
        x = gs.zeros(2, 3)
        mask = gs.tensor([True, False, True])
        for index, error in ((mask, TypeError), (gs.tensor([[0]]), IndexError), (0, TypeError)):
            with pytest.raises(error):
                x.index_fill_(1, index, 1.0)
            with pytest.raises(error):
                x.index_copy_(1, index, gs.ones(2, 1))
        with pytest.raises(ValueError, match=r"expected a source of shape \(2, 2\)"):
            x.index_copy_(1, gs.tensor([0, 2]), gs.ones(2, 1))
        with pytest.raises(IndexError):
            x.index_fill_(2, gs.tensor([0]), 1.0)
        assert not x.any()
        assert x.index_fill_(-1, gs.tensor(2), 1.0).tolist() == [[0, 0, 1]] * 2
        assert gs.tensor(1.0).index_fill_(0, gs.tensor([0]), 4.0).item() == 4

    def test_masked_scatter_broadcasts_both(self):
        out = gs.zeros(2).masked_scatter(gs.tensor([[True], [False]]), gs.arange(1.0, 4))
        assert out.tolist() == [[1, 2], [0, 0]]


class TestArguments:
    @pytest.mark.parametrize("indexing", ["ij", "xy"])
    def test_meshgrid(self, indexing):
        vectors = (np.arange(2.0), np.arange(3.0), np.arange(4.0))
        for n in (1, 2, 3):
            got = gs.meshgrid(*map(gs.from_numpy, vectors[:n]), indexing=indexing)
            for mine, theirs in zip(got, np.meshgrid(*vectors[:n], indexing=indexing)):
                np.testing.assert_array_equal(mine.numpy(), theirs)

    def test_numpys_names(self):
        x = gs.tensor([[1.0, 2.0], [3.0, 5.0]])
        assert x.max(axis=1, keepdims=True).values.tolist() == [[2], [5]]
        assert x.min(axis=0)[0].tolist() == [1, 2]
        assert gs.std(x, axis=0).shape == x.var(axis=1).shape == (2,)
        assert x.median(axis=0)[0].tolist() == [1, 2]
        assert gs.concatenate([x, x], axis=1).shape == (2, 4)
        with pytest.raises(TypeError, match=r"\[max\] has no argument 'dims'"):
            x.max(dims=0)

    def test_pytorchs_other_names(self):
        x = gs.zeros(2, 2)
        x.scatter_(1, gs.tensor([[0], [1]]), value=1)
        assert x.tolist() == [[1, 0], [0, 1]]
        assert x.view(size=(4,)).shape == (4,) and x[:1].expand(size=(3, 2)).shape == (3, 2)
        assert x.clone(memory_format=gs.preserve_format).equal(x)
        assert x.contiguous(memory_format=gs.contiguous_format) is x
        with pytest.raises(TypeError, match="has no argument 'memory_format'"):
            x.sum(memory_format=gs.preserve_format)

    def test_pythons_types_are_dtypes(self):
        assert gs.zeros(1, dtype=float).dtype == gs.float64
        assert gs.tensor(1.5, dtype=int).dtype == gs.int64
        assert gs.ones(2).to(bool).dtype == gs.bool
        assert gs.ones(2).sum(dtype=int).dtype == gs.int64
        with pytest.raises(TypeError, match=r"\[to\] expected dtype"):
            gs.ones(2).to(str)

    @pytest.mark.parametrize("make", [gs.zeros, gs.ones, gs.empty, gs.rand, gs.randn])
    def test_size_by_keyword(self, make):
        assert make(size=(2, 3)).shape == (2, 3)
        with pytest.raises(TypeError, match="twice"):
            make(2, size=(2, 3))

    def test_numpy_numbers_in_a_list_keep_their_dtype(self):
        assert gs.tensor([np.float64(1.5), np.float64(2)]).dtype == gs.float64
        assert gs.tensor([np.float32(1.5), 2.5]).dtype == gs.float32

    @pytest.mark.parametrize("convert", [int, float])
    def test_several_numbers_are_no_number(self, convert):
        with pytest.raises(ValueError, match="only a tensor of one element"):
            convert(gs.ones(2))

    def test_what_is_no_tensor(self):
        for wrong in (
            lambda: gs.zeros_like(3),
            lambda: gs.equal(gs.ones(1), 3),
            lambda: gs.ones(1).isclose(1.0),
            lambda: gs.allclose([1.0], gs.ones(1)),
        ):
            with pytest.raises(TypeError, match="to be a Tensor, got"):
                wrong()

    def test_sizes(self):
        size = gs.Size([2, 3])
        assert type(size * 2) is gs.Size and size * 2 == (2, 3, 2, 3)
        with pytest.raises(TypeError, match=r"\[Size\] expected ints, got float at position 1"):
            gs.Size([1, 1.5])

    def test_is_contiguous_takes_a_memory_format(self):
        assert gs.ones(2, 3).is_contiguous(memory_format=gs.contiguous_format)
