"""gs.summary: parameters and multiply-adds against counts by hand, and no trace in the model."""

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.model_summary import summary


def work(layer, *shapes, dtypes=None):
    """Multiply-adds of one layer's own row."""
    return summary(layer, shapes, dtypes=dtypes).rows[0].multiply_adds


# --------------------------------------------------------------------------------- hand counts


def test_a_small_network_by_hand():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),  # 4 * (9 + 1) = 40 parameters; 2 * 4 * 6 * 6 * 9 = 2592
        nn.BatchNorm2d(4),  # 8 parameters
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),  # 36 * 5 + 5 = 185; 2 * 36 * 5 = 360
    )
    s = summary(model, (2, 1, 8, 8))
    assert [row.path for row in s.rows] == ["", "0", "1", "2", "3", "4", "5"]
    assert [row.kind for row in s.rows[1:3]] == ["Conv2d", "BatchNorm2d"]
    assert [row.parameters for row in s.rows] == [0, 40, 8, 0, 0, 0, 185]
    assert [row.multiply_adds for row in s.rows] == [0, 2592, 0, 0, 0, 0, 360]
    assert [row.output_shapes for row in s.rows] == [
        [shape]
        for shape in [
            (2, 5), (2, 4, 6, 6), (2, 4, 6, 6), (2, 4, 6, 6), (2, 4, 3, 3), (2, 36), (2, 5),
        ]
    ]  # fmt: skip
    # Flatten gives a view: no memory of its own.
    assert [row.output_bytes for row in s.rows] == [0, 1152, 1152, 1152, 288, 0, 40]
    assert (s.total_parameters, s.trainable_parameters, s.multiply_adds) == (233, 233, 2952)
    assert s.input_bytes == 2 * 64 * 4
    assert s.output_bytes == 3 * 1152 + 288 + 40
    assert s.parameter_bytes == 233 * 4
    assert s.buffer_bytes == 2 * 4 * 4 + 8
    assert s.total_bytes == 512 + 3784 + 932 + 40


def test_linear_and_bilinear():
    assert work(nn.Linear(3, 5), (2, 7, 3)) == 2 * 7 * 3 * 5
    assert work(nn.Linear(3, 5, bias=False), (3,)) == 15
    # For each of 4 rows and 5 outputs: W_o is 2 x 3, so x1^T W_o takes 6, times x2 another 3.
    assert work(nn.Bilinear(2, 3, 5), (4, 2), (4, 3)) == 4 * 5 * (6 + 3)


def taps_of_convolution(shape, out, kernel, stride, padding, dilation, groups):
    """Multiplications of a convolution, counted one by one."""
    n, c, *sizes = shape
    counts = [
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for size in sizes
    ]  # output positions
    count = 0
    for _ in np.ndindex(n, out, *counts):
        for _ in np.ndindex(c // groups, *[kernel] * len(sizes)):
            count += 1
    return count


@pytest.mark.parametrize(
    "layer, sizes", [(nn.Conv1d, (9,)), (nn.Conv2d, (6, 5))], ids=["Conv1d", "Conv2d"]
)
@pytest.mark.parametrize(
    "stride, padding, dilation, groups", [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)]
)
def test_convolution(layer, sizes, stride, padding, dilation, groups):
    module = layer(4, 8, 3, stride, padding, dilation, groups)
    shape = (2, 4, *sizes)
    counted = taps_of_convolution(shape, 8, 3, stride, padding, dilation, groups)
    assert work(module, shape) == counted
    s = summary(module, (shape,))
    assert s.total_parameters == 8 * (4 // groups) * 3 ** len(sizes) + 8


def test_a_convolution_without_a_batch():
    assert work(nn.Conv2d(3, 4, 1), (3, 2, 2)) == 4 * 4 * 3


def test_transposed_convolution():
    # Each of 2 * 4 * 3 * 3 inputs is spread over (6 / 2) output channels of a group times 2 x 2.
    module = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
    assert work(module, (2, 4, 3, 3)) == 2 * 4 * 9 * 3 * 4
    assert summary(module, (2, 4, 3, 3)).total_parameters == 4 * 3 * 4 + 6
    # The transposed convolution takes the products of the convolution it reverses.
    back = nn.Conv2d(6, 4, 2, stride=2, groups=2)
    assert work(back, (2, 6, 6, 6)) == work(module, (2, 4, 3, 3))


@pytest.mark.parametrize("layer, gates", [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent(layer, gates):
    # T = 5, N = 2; the first layer sees 3 features, the second both directions' 4.
    module = layer(3, 4, num_layers=2, bidirectional=True)
    first, second = gates * 4 * (3 + 4), gates * 4 * (8 + 4)
    assert work(module, (5, 2, 3)) == 5 * 2 * 2 * (first + second)
    s = summary(module, (5, 2, 3))
    assert s.total_parameters == 2 * (first + second + 2 * 2 * gates * 4)
    assert s.rows[0].output_shapes[:2] == [(5, 2, 8), (4, 2, 4)]
    assert work(layer(3, 4, batch_first=True), (2, 5, 3)) == 5 * 2 * first
    assert work(layer(3, 4), (5, 3)) == 5 * first

    class Packing(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer(3, 4)

        def forward(self, x):
            return self.inner(nn.utils.rnn.pack_sequence([x, x[:2]]))[1]

    assert summary(Packing(), (5, 3)).rows[1].multiply_adds == 7 * first


@pytest.mark.parametrize("layer, gates", [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_cells(layer, gates):
    assert work(layer(3, 4), (2, 3)) == 2 * gates * 4 * (3 + 4)
    assert work(layer(3, 4), (3,)) == gates * 4 * 7


def test_attention():
    # N = 2, T = 5, S = 7, E = 4 in 2 heads.
    module = nn.MultiheadAttention(4, 2, kdim=3, vdim=6, batch_first=True)
    s = summary(module, ((2, 5, 4), (2, 7, 3), (2, 7, 6)))
    queries, keys, values = 2 * 5 * 4 * 4, 2 * 7 * 3 * 4, 2 * 7 * 6 * 4
    products = 2 * 5 * 7 * 4  # in each of 2 heads T * S * 2, for the scores and for the sums
    assert s.rows[0].multiply_adds == queries + keys + values + 2 * products
    assert s.rows[1].path == "out_proj"
    assert s.rows[1].multiply_adds == 2 * 5 * 4 * 4
    assert s.total_parameters == 16 + 12 + 24 + 12 + 16 + 4
    same = nn.MultiheadAttention(4, 2)
    assert work(same, (5, 2, 4), (5, 2, 4), (5, 2, 4)) == 3 * 2 * 5 * 16 + 2 * 2 * 5 * 5 * 4
    assert work(same, (5, 4), (5, 4), (5, 4)) == 3 * 5 * 16 + 2 * 5 * 5 * 4


def test_layers_that_only_look_up_or_scale():
    assert work(nn.Embedding(10, 4), (2, 3), dtypes=gs.int64) == 0
    assert work(nn.LayerNorm(4), (2, 4)) == 0
    assert work(nn.GroupNorm(2, 4), (2, 4, 3)) == 0
    assert work(nn.PReLU(), (2, 4)) == 0


# ------------------------------------------------------------------------------------- the tree


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 10, bias=False)
        self.embed = nn.Embedding(10, 4)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.embed(x))


def test_a_tied_weight_is_counted_once_where_it_runs_first():
    s = summary(Tied(), (2, 3), dtypes=gs.int64)
    assert [row.path for row in s.rows] == ["", "embed", "head"]  # the order of the calls
    assert [row.parameters for row in s.rows] == [0, 40, 0]
    assert [row.shared_parameters for row in s.rows] == [0, 0, 40]
    assert s.rows[2].shared_with == "embed"
    assert s.total_parameters == 40
    assert s.multiply_adds == 2 * 3 * 40
    assert "(40)" in str(s)
    assert "counted there" in str(s)


def test_a_shared_module_has_a_row_at_each_place():
    block = nn.Sequential(nn.Linear(3, 3))
    s = summary(nn.Sequential(block, nn.ReLU(), block), (2, 3))
    assert [row.path for row in s.rows] == ["", "0", "0.0", "1", "2", "2.0"]
    assert [row.calls for row in s.rows] == [1] * 6
    assert [row.parameters for row in s.rows] == [0, 0, 12, 0, 0, 0]
    assert s.rows[5].shared_with == "0.0"
    assert s.multiply_adds == 2 * 2 * 9  # it is computed twice
    assert s.total_parameters == 12


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([nn.LSTMCell(2, 3)])
        self.unused = nn.Linear(7, 7)

    def forward(self, x, steps):
        state = None
        for _ in range(steps):
            state = self.cells[0](x, state)
        return {"h": state[0]}


def test_repeated_calls_are_one_row_and_arguments_go_by_name():
    s = summary(Loop(), {"x": (5, 2), "steps": 4})
    root, cells, cell, unused = s.rows
    assert (cell.path, cell.calls) == ("cells.0", 4)
    assert cell.multiply_adds == 4 * 5 * 4 * 3 * (2 + 3)
    assert cell.output_bytes == 4 * 2 * 5 * 3 * 4
    assert root.output_shapes == [(5, 3)]
    assert (unused.calls, unused.output_shapes, unused.multiply_adds) == (0, None, 0)
    assert "LSTMCell (0) x4" in str(s)
    assert s.input_bytes == 40


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 3])
def test_rows_add_up_at_every_depth(depth):
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    s = summary(model, ((2, 3, 8), (2, 4, 8)), depth=depth)
    whole = summary(model, ((2, 3, 8), (2, 4, 8)))
    assert sum(row.parameters for row in s.rows) == whole.total_parameters
    assert whole.total_parameters == sum(p.numel() for p in model.parameters())
    assert sum(row.multiply_adds for row in s.rows) == whole.multiply_adds > 0
    assert sum(row.output_bytes for row in s.rows) == whole.output_bytes
    if depth is not None:
        assert max(row.depth for row in s.rows) == depth
    if depth == 1:
        assert [row.path for row in s.rows] == ["", "encoder", "decoder"]
        assert s.rows[1].parameters == sum(p.numel() for p in model.encoder.parameters())


def test_memory_of_outputs_counts_once():
    class Own(nn.Module):
        """What it gives is its own, after a layer that works in place."""

        def __init__(self):
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Flatten())

        def forward(self, x):
            y = self.inside(x)
            return y + 1, y, y[:, 2:]

    s = summary(Own(), (5, 4))
    one = 5 * 6 * 4
    assert {row.kind: row.output_bytes for row in s.rows} == {
        "Own": one, "Sequential": 0, "Linear": one, "ReLU": 0, "Flatten": 0,
    }  # fmt: skip
    assert s.output_bytes == 2 * one


def test_trainable_or_not():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    model[0].requires_grad_(False)
    model[1].bias.requires_grad_(False)
    s = summary(model, (1, 2))
    assert [row.trainable for row in s.rows] == ["", "no", "partly"]
    assert (s.total_parameters, s.trainable_parameters) == (25, 12)
    assert summary(model, (1, 2), depth=0).rows[0].trainable == "partly"
    assert "25 (12 trainable, 13 not)" in str(s)


def test_without_an_input_there_are_parameters_alone():
    s = summary(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    assert s.total_parameters == 9 + 6
    assert s.input_bytes is None
    assert "Multiply-adds:" not in str(s)
    assert s.total_bytes == 4 * 15 + 2 * 3 * 4 + 8


# ---------------------------------------------------------------------------------------- inputs


def test_inputs_in_every_form():
    model = nn.Linear(3, 2)
    forms = [gs.zeros(4, 3), (gs.zeros(4, 3),), (4, 3), [4, 3], ((4, 3),), {"input": (4, 3)}]
    assert {summary(model, form).multiply_adds for form in forms} == {24}


class Two(nn.Module):
    def forward(self, index, x):
        assert index.dtype == gs.int64
        return x.sum(0) + index.sum()


def test_dtypes_of_several_inputs():
    for dtypes in ((gs.int64, gs.float64), {"index": gs.int64}):
        form = {"index": (2,), "x": (2, 3)}
        given = form if isinstance(dtypes, dict) else tuple(form.values())
        assert summary(Two(), given, dtypes=dtypes).rows[0].calls == 1
    assert summary(nn.Linear(3, 2).double(), (1, 3)).input_bytes == 24  # the model's own dtype
    assert summary(nn.Linear(3, 2).double(), (1, 3)).parameter_bytes == 64


def test_errors_name_what_is_wrong():
    model = nn.Sequential(nn.Embedding(5, 3))
    with pytest.raises(TypeError, match="expected a Module, got int"):
        summary(3, (1, 2))
    with pytest.raises(TypeError, match="expected input to be.* got str"):
        summary(model, "1,2")
    with pytest.raises(ValueError, match="negative sizes, got \\(-1, 3\\)"):
        summary(nn.Linear(3, 2), (-1, 3))
    with pytest.raises(ValueError, match="one for each of 1 inputs"):
        summary(model, (1, 2), dtypes=[gs.int64, gs.int64])
    with pytest.raises(ValueError, match="expected mode"):
        summary(model, (1, 2), mode="evaluate")
    with pytest.raises(ValueError, match="depth"):
        summary(model, (1, 2), depth=-1)
    with pytest.raises(TypeError) as caught:
        summary(model, (1, 2))
    assert "layer '0' (Embedding)" in caught.value.__notes__[0]
    assert "gs.int64" in caught.value.__notes__[0]


# ---------------------------------------------------------------------------------------- no trace


class Restless(nn.Module):
    """Changes whatever a call can change."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", gs.zeros(1))
        self.fail = False

    def forward(self, x):
        self.seen = self.seen + 1
        x = self.drop(self.norm(x)) + gs.randn(3)
        if self.fail:
            raise RuntimeError("as told")
        return x


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("mode", ["eval", "train", None])
def test_the_model_is_as_before(mode, fail):
    model = Restless()
    model.norm.weight.grad = gs.ones(3)
    model.drop.eval()  # a mixture of modes
    before = {name: (id(b), b._version, b.tolist()) for name, b in model.named_buffers()}
    modes = [m.training for m in model.modules()]
    state = gs.get_rng_state().tolist()
    model.fail = fail
    if fail:
        with pytest.raises(RuntimeError, match="as told"):
            summary(model, (4, 3), mode=mode)
    else:
        summary(model, (4, 3), mode=mode)
    after = {name: (id(b), b._version, b.tolist()) for name, b in model.named_buffers()}
    assert after == before
    assert [m.training for m in model.modules()] == modes == [True, True, False]
    assert gs.get_rng_state().tolist() == state
    assert model.norm.weight.grad.tolist() == [1, 1, 1]
    assert model.norm.bias.grad is None
    assert not any(m._has_hooks or m._forward_hooks for m in model.modules())
    assert gs.is_grad_enabled()


def test_the_mode_is_what_was_asked_for():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(self.training)
            return x

    model = Spy()
    for mode in ("eval", "train", None):
        summary(model.eval(), (1,), mode=mode)
    assert seen == [False, True, False]


def test_hooks_of_the_user_stay_and_run():
    model, calls = nn.Linear(3, 2), []
    model.register_forward_hook(lambda module, args, output: calls.append(1))
    assert summary(model, (1, 3)).rows[0].calls == 1
    model(gs.zeros(1, 3))
    assert len(calls) == 2
