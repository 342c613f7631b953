"""The picture of a graph: the DOT text is parsed, and says what was computed."""

import re
import shutil
import subprocess

import pytest

import gradstone as gs
from gradstone import nn
from gradstone.graph_picture import make_dot, quoted

# Of the DOT grammar: strings, names, numbers, arrows, punctuation, space.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z_0-9]*|\d+|->|[\[\]{};,=]|\s+', re.S)


def unquoted(token):
    if not token.startswith('"'):
        return token
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], token[1:-1], flags=re.S)


def tokens(text):
    at, out = 0, []
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, f"no token of DOT at {text[at : at + 40]!r}"
        at = match.end()
        if not match[0].isspace():
            out.append(match[0])
    return out


def parse(text):
    """({node: attributes}, [(from, to, attributes)]) of `digraph { ... }`; fails on other text."""
    rest = tokens(text)
    nodes, edges = {}, []

    def take(expected=None):
        token = rest.pop(0)
        assert expected is None or token == expected, (token, expected)
        return token

    def attributes():
        out = {}
        if rest[0] == "[":
            take("[")
            while rest[0] != "]":
                name = take()
                take("=")
                out[name] = unquoted(take())
                if rest[0] == ",":
                    take(",")
            take("]")
        return out

    take("digraph")
    take("{")
    while rest[0] != "}":
        name = take()
        if rest[0] == "=":
            take("=")
            take()
        elif rest[0] == "->":
            take("->")
            target = take()
            edges.append((name, target, attributes()))
        else:
            nodes[name] = attributes()
        take(";")
    take("}")
    assert not rest
    nodes.pop("node")
    assert all(a in nodes and b in nodes for a, b, _ in edges)
    return nodes, edges


def picture(*arguments, **options):
    """Labels by line, and edges between labels."""
    text = make_dot(*arguments, **options)
    nodes, edges = parse(text)
    label = {name: tuple(a["label"].split("\n")) for name, a in nodes.items()}
    return sorted(label.values()), sorted((label[a], label[b]) for a, b, _ in edges)


def test_operations_leaves_and_arrows():
    a = gs.ones(2, 3, requires_grad=True)
    b = gs.ones(3, requires_grad=True)
    nodes, edges = picture((a * b).relu().sum(), {"a": a, "b": b})
    a, b = ("a", "(2, 3)"), ("b", "(3,)")
    mul, relu, total = ("Mul", "(2, 3)"), ("Relu", "(2, 3)"), ("Sum", "()")
    assert nodes == [mul, relu, total, a, b, ("output", "()")]
    assert edges == [
        (mul, relu),
        (relu, total),
        (total, ("output", "()")),
        (a, mul),
        (b, mul),
    ]


def test_a_value_used_twice_is_one_box_with_two_arrows():
    x = gs.ones(2, requires_grad=True)
    nodes, edges = picture(x * x)
    assert nodes == [("Mul", "(2,)"), ("leaf", "(2,)"), ("output", "(2,)")]
    assert edges.count((("leaf", "(2,)"), ("Mul", "(2,)"))) == 2


def test_parameters_have_their_names():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2, bias=False))
    nodes, _ = picture(model(gs.ones(5, 3)), model)
    for name, p in model.named_parameters():
        assert (name, str(tuple(p.shape))) in nodes
    assert [n for n in nodes if n[0] == "Linear"] == [("Linear", "(5, 2)"), ("Linear", "(5, 4)")]
    assert not [n for n in nodes if n[0] == "leaf"]
    assert all(p.grad is None for p in model.parameters())


def test_shapes_of_all_operations():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    criterion = nn.CrossEntropyLoss()
    y = model(gs.ones(5, 1, 4, 4))
    loss = criterion(-y[:, :2] * 2 + 1, gs.zeros(5, dtype=gs.int64))
    nodes, _ = picture(loss, model)
    for expected in [
        ("Conv2d", "(5, 4, 2, 2)"), ("Relu", "(5, 4, 2, 2)"), ("Reshape", "(5, 16)"),
        ("Linear", "(5, 2)"), ("Neg", "(5, 2)"), ("3.weight", "(2, 16)"), ("output", "()"),
    ]:  # fmt: skip
        assert expected in nodes
    assert all(re.fullmatch(r"\([\d, ]*\)", node[-1]) for node in nodes), nodes


def test_results_can_be_named_too():
    x = gs.ones(2, 3, requires_grad=True)
    hidden = x.exp()
    nodes, _ = picture(hidden.sum(), {"hidden": hidden})
    assert ("Exp", "hidden", "(2, 3)") in nodes


def test_several_outputs_and_numbered_results():
    lstm = nn.LSTM(2, 3)
    _, (h, c) = lstm(gs.ones(4, 1, 2))
    nodes, edges = parse(make_dot([h, c], lstm))
    labels = [a["label"] for a in nodes.values()]
    assert "output 0\n(1, 1, 3)" in labels
    assert "output 1\n(1, 1, 3)" in labels
    h, c = nn.LSTMCell(2, 3)(gs.ones(1, 2))
    nodes, edges = parse(make_dot(h * c))
    into_mul = [
        (nodes[a]["label"], attributes.get("label"))
        for a, b, attributes in edges
        if nodes[b]["label"] == "Mul\n(1, 3)"
    ]
    assert into_mul == [("LstmCell\n(1, 1, 3)", "1: (1, 3)"), ("LstmCell\n(1, 1, 3)", "2: (1, 3)")]


def test_frozen_parameters_are_left_out():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    nodes, _ = picture(model(gs.ones(1, 3)), model)
    assert ("bias", "(2,)") in nodes
    assert not any(n[0] == "weight" for n in nodes)


STRANGE = [
    'say "hi"',
    "back\\slash",
    "ends in \\",
    "<b>html</b>",
    "{a|b}",
    "größe",
    "\\N",
    "a]; b [",
]


@pytest.mark.parametrize("name", STRANGE)
def test_any_name_is_shown_as_it_is(name):
    x = gs.ones(2, requires_grad=True)
    nodes, _ = picture(x.exp(), {name: x})
    assert (name, "(2,)") in nodes


def test_quoting():
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
    assert unquoted(quoted("a\tb")) == "a\\x09b"


def test_a_deep_graph():
    x = y = gs.ones(1, requires_grad=True)
    for _ in range(5_000):
        y = y + 1
    nodes, edges = parse(make_dot(y))
    assert len(nodes) == 5_002
    assert len(edges) == 5_001
    assert x.grad is None


def test_what_has_no_graph_is_refused():
    with pytest.raises(ValueError, match=r"output 1 of shape \(3,\) has no graph"):
        make_dot([gs.ones(2, requires_grad=True), gs.ones(3)])
    with pytest.raises(ValueError, match="expected tensors as outputs, got none"):
        make_dot([None, {}])
    with pytest.raises(ValueError, match="direction"):
        make_dot(gs.ones(2, requires_grad=True), direction="up")


def test_under_no_grad_leaves_are_still_found():
    x = gs.ones(2, requires_grad=True)
    y = x.exp()
    with gs.no_grad():
        nodes, _ = picture(y, {"x": x})
    assert ("x", "(2,)") in nodes


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's `dot` is not installed")
def test_graphviz_draws_it():
    x = gs.ones(2, requires_grad=True)
    text = make_dot(x.exp(), {STRANGE[0]: x})
    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "say &quot;hi&quot;" in done.stdout


def test_outputs_in_dicts_and_lists():
    x = gs.ones(2, requires_grad=True)
    a, b, c = x.exp(), x.sin(), x.cos()
    assert make_dot({"a": a, "rest": [b, (c,)]}) == make_dot([a, b, c])
