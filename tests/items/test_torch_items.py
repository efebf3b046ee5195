"""Kind torch: tensors as safetensors, and three ways back to a module."""

import copy
import functools
import io
import json
import pickle
import sys
import threading
import weakref
from typing import Any, ClassVar

import pytest
from items_support import MemorySource, roundtrip, store

import lakefolio as lf
from lakefolio.errors import IntegrityError, InvalidInputError, UntrustedContentError
from lakefolio.items import handler_for, handler_of
from lakefolio.items.handler import FilePayload
from lakefolio.testing.need import need

torch = need("torch", "torch")
need("safetensors", "torch")
nn = torch.nn


class Net(nn.Module):
    def __init__(self, input_dim: int, hidden_dim: int = 3) -> None:
        super().__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.norm = nn.BatchNorm1d(hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.norm(self.fc1(x))))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight


class NotAModule:
    called = False

    def __init__(self, **arguments: object) -> None:
        type(self).called = True


def make() -> Net:
    torch.manual_seed(0)
    net = Net(input_dim=5)
    net(torch.randn(8, 5))
    return net.eval()


def assert_same_state(one, other) -> None:
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert tensor.shape == other[name].shape
        assert torch.equal(tensor, other[name])


def test_three_ways_back() -> None:
    net = make()
    assert handler_for(net).kind == "torch"
    source, encoded = store(net, init_args={"input_dim": 5}, save_class=True)
    decode = handler_of("torch").decode
    assert_same_state(decode(source, encoded.details, reconstruct=False), net.state_dict())
    for options in ({"model_class": Net}, {}, {"model_class": lambda **arguments: Net(**arguments)}):
        back = decode(source, encoded.details, **options)
        assert type(back) is Net
        assert_same_state(back.state_dict(), net.state_dict())
    assert encoded.details["class"] == f"{__name__}:Net"
    assert encoded.details["init_args"] == {"input_dim": 5}
    assert encoded.details["object"] == "module"
    assert encoded.details["versions"]["torch"] == str(torch.__version__)
    assert "class Net(nn.Module)" in encoded.details["class_source"]
    assert encoded.format == "safetensors"


def test_arguments_of_any_kind_come_back() -> None:
    class Odd(nn.Module):
        def __init__(self, shape, scale) -> None:
            super().__init__()
            assert shape == (1, 2)
            self.w = nn.Parameter(torch.ones(shape) * scale)

    source, encoded = store(Odd((1, 2), 2.0), init_args={"shape": (1, 2), "scale": float("inf")})
    back = handler_of("torch").decode(source, encoded.details, model_class=Odd)
    assert torch.equal(back.w, torch.ones(1, 2) * 2)


def test_a_class_that_is_not_imported_needs_trust(tmp_path, monkeypatch) -> None:
    (tmp_path / "lakefolio_nets.py").write_text(
        "import torch.nn as nn\nclass Small(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.l = nn.Linear(1, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lakefolio_nets

    source, encoded = store(lakefolio_nets.Small(), save_class=True)
    monkeypatch.delitem(sys.modules, "lakefolio_nets")
    decode = handler_of("torch").decode
    with pytest.raises(UntrustedContentError) as caught:
        decode(source, encoded.details)
    assert caught.value.objects["types"] == ["lakefolio_nets.Small"]
    assert "lakefolio_nets" not in sys.modules
    by_source = decode(source, encoded.details, trust_source=True)
    assert type(by_source).__name__ == "Small"
    assert "lakefolio_nets" not in sys.modules
    assert_same_state(decode(source, encoded.details, reconstruct=False), by_source.state_dict())
    for trusted in (["lakefolio_nets"], ["lakefolio_nets.Small"]):
        assert type(decode(source, encoded.details, trusted=trusted)).__module__ == "lakefolio_nets"
        sys.modules.pop("lakefolio_nets", None)


def test_only_modules_are_ever_called() -> None:
    source, encoded = store(make(), init_args={"input_dim": 5})
    for name in (f"{__name__}:NotAModule", "subprocess:Popen", "os:system", "builtins:exec"):
        with pytest.raises(UntrustedContentError):
            handler_of("torch").decode(source, {**encoded.details, "class": name})
    assert not NotAModule.called
    with pytest.raises(InvalidInputError) as caught:
        handler_of("torch").decode(source, encoded.details, trust_source=True)
    assert caught.value.kind == "no-source"


def test_arguments_that_do_not_fit_say_so() -> None:
    source, encoded = store(make(), init_args={"input_dim": 5})
    decode = handler_of("torch").decode
    for options in ({"init_args": {}}, {"init_args": {"input_dim": 2}}, {"model_class": Tied}):
        with pytest.raises(InvalidInputError) as caught:
            decode(source, encoded.details, **options)
        assert caught.value.kind == "model-mismatch"
    assert type(decode(source, encoded.details, init_args={"input_dim": 5})) is Net


def test_state_dicts_and_tensors_come_back() -> None:
    base = torch.arange(24).reshape(2, 3, 4)
    state = {
        "b.view": base.transpose(0, 2),
        "a": base[1],
        "bf16": torch.randn(3, dtype=torch.bfloat16),
        "f16": torch.tensor([1.5], dtype=torch.float16),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "empty2": torch.zeros(0, 4),
        "same": base[1],
        "reshaped": base.reshape(6, 4),
        "grad": torch.ones(2, requires_grad=True),
        "nan": torch.tensor([float("nan"), float("inf")]),
    }
    source, encoded = store(state)
    assert encoded.kind == "torch"
    back = handler_of("torch").decode(source, encoded.details)
    assert list(back) == list(state)
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(torch.nan_to_num(back[name]), torch.nan_to_num(tensor.detach()))
    assert encoded.details["tensor_count"] == len(state)
    assert store(dict(state))[0].content == source.content
    alone = roundtrip(torch.arange(3))
    assert torch.equal(alone, torch.arange(3))
    assert handler_for({"a": 1}).kind == "json"
    assert handler_for({}).kind == "json"


def test_tied_weights_are_stored_once_and_stay_tied() -> None:
    model = Tied()
    source, encoded = store(model)
    assert len(source.content) < 4 * (16 + 4 + 4) + 1000
    back = handler_of("torch").decode(source, encoded.details)
    assert back.decoder.weight is back.encoder.weight
    state = handler_of("torch").decode(source, encoded.details, reconstruct=False)
    assert_same_state(state, model.state_dict())


def test_a_large_state_goes_to_a_file(tmp_path) -> None:
    state = {"w": torch.zeros(5_000_000)}
    payload = handler_of("torch").encode(state, scratch=tmp_path).payload()
    assert isinstance(payload, FilePayload)
    assert payload.temporary


def test_what_is_no_plain_tensor_is_named() -> None:
    for state, named in (
        ({"model": {"w": torch.ones(1)}, "epoch": 3}, "model"),
        ({"w": torch.ones(1), 3: torch.ones(1)}, "3"),
        ({"s": torch.eye(3).to_sparse()}, "s"),
        ({"m": torch.ones(2, device="meta")}, "m"),
        (nn.Sequential(nn.LazyLinear(3)), "0.weight"),
        (torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "tensor"),
        ({"n": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])}, "n"),
        (torch.ones(2, dtype=torch.complex64).conj(), "tensor"),
        ({"i": torch.ones(2, dtype=torch.complex64).conj().imag}, "i"),
        ({"__metadata__": torch.ones(1)}, "__metadata__"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            store(state, "torch")
        assert caught.value.kind == "unsupported-tensor"
        assert caught.value.objects["entry"] == named
    with pytest.raises(InvalidInputError) as caught:
        store(type("Dynamic", (nn.Module,), {"__module__": "nowhere"})(), save_class=True)
    assert caught.value.kind == "no-source"


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_damage_and_pickles_are_refused() -> None:
    source, encoded = store(make(), init_args={"input_dim": 5})
    buffer = io.BytesIO()
    torch.save({"x": Bomb()}, buffer)
    for content in (source.content[:-1], source.content[:20], b"", pickle.dumps(Bomb()), buffer.getvalue()):
        with pytest.raises(IntegrityError) as caught:
            handler_of("torch").decode(MemorySource(content), encoded.details)
        assert caught.value.kind == "bad-content"


class Dropped(nn.Module):
    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.drop = nn.Dropout(rate)
        self.line = nn.Linear(2, 1)


class Counted(nn.Module):
    made: ClassVar[list[str]] = []

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((2,), start))
        self.large = bool((self.w > 5).any())  # not possible on the meta device
        self.made.append(self.w.device.type)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (make(), {}),
        (make(), {"input_dim": 2}),
        (make(), {"input_dim": 5, "depth": 1}),
        (nn.Linear(2, 1), {}),
        (Dropped(0.5), {}),
        (nn.Sequential(nn.Linear(1, 1)), {}),
    ],
)
def test_a_module_that_would_not_come_back_is_refused_when_it_is_added(tmp_path, module, arguments) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(module, init_args=arguments)
    assert caught.value.kind == "model-mismatch"
    lake = lf.open(tmp_path / "lake")
    with pytest.raises(InvalidInputError) as refused:
        lake.folio("f").add_model("net", module, init_args=arguments)
    assert refused.value.kind == "model-mismatch"
    assert refused.value.item == "net"
    assert lake.version == 0
    lake.folio("f").add_model("net", module.state_dict())
    assert_same_state(lake.get("f:net"), module.state_dict())


def test_the_proof_leaves_the_random_numbers_alone_and_copes_with_constructors_that_read_numbers() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    net, counted = make(), Counted(3.0)
    torch.manual_seed(7)
    store(net, init_args={"input_dim": 5})
    store(counted, init_args={"start": 3.0})
    assert torch.equal(torch.rand(3), expected)
    assert set(Counted.made) <= {"meta", "cpu"}


def test_a_module_of_another_precision_comes_back_in_it() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        net = make().to(dtype)
        source, encoded = store(net, init_args={"input_dim": 5})
        back = handler_of("torch").decode(source, encoded.details)
        assert_same_state(back.state_dict(), net.state_dict())


def test_tied_weights_stay_tied() -> None:
    source, encoded = store(Tied().half())
    back = handler_of("torch").decode(source, encoded.details)
    assert back.decoder.weight is back.encoder.weight
    assert back.decoder.weight.dtype == torch.float16


class Act(nn.Module):
    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        self.slope = slope
        self.l = nn.Linear(2, 2)


class Passing(nn.Module):
    """Has a buffer that no state dict holds."""

    def __init__(self, base: float = 2.0) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.register_buffer("steps", base ** torch.arange(3), persistent=False)


class Calling(nn.Module):
    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.lock = threading.Lock()
        self.act = lambda x: x * slope
        self.fast = functools.lru_cache(self.width)
        self.scaled = functools.partial(torch.mul, other=2)
        self.relu = nn.functional.relu
        self.me = [self.l, self.l.weight, self.forward]

    def width(self) -> int:
        return 2

    def forward(self, x):
        return self.act(self.l(x))

    @functools.cached_property
    def sizes(self) -> list[int]:
        return [2]


class Extra(nn.Module):
    """Keeps data in its extra state."""

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.seen: list[int] = []

    def get_extra_state(self):
        return torch.tensor(self.seen, dtype=torch.int64)

    def set_extra_state(self, state) -> None:
        self.seen = state.tolist()


class Untensored(Extra):
    def get_extra_state(self):
        return {"seen": self.seen}


class OwnState(nn.Module):
    """Keeps data where only its own state has it, and a cache that its state lacks."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.cache = None
        memory[self] = size

    def __getstate__(self):
        return {**{key: value for key, value in vars(self).items() if key != "cache"}, "size": memory[self]}

    def __setstate__(self, state) -> None:
        memory[self] = state.pop("size")
        super().__setstate__({**state, "cache": None})


memory: "weakref.WeakKeyDictionary[nn.Module, int]" = weakref.WeakKeyDictionary()


class Hidden(nn.Module):
    """Hides a module in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.layers = [nn.Linear(2, 2)]


class Guess(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(2, 2)
        self.start = torch.rand(2)
        self.first = float(self.start[0])  # not possible on the meta device


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ModuleList([nn.Linear(2, 2), Act(0.5), Passing(3.0)])
        self.table = nn.Embedding(4, 2, padding_idx=1)
        self.seq = nn.Sequential(nn.Conv1d(1, 1, 1), nn.LayerNorm(2), nn.Dropout(0.2), nn.GELU())
        self.mask = torch.ones(2, 2).triu()
        self.kind = torch.float32


class LightningModule(nn.Module):
    """Notes down what trains it, as the class of this name does."""

    def __init__(self, sizes: object = ()) -> None:
        super().__init__()
        self.sizes = sizes
        self.one, self.two = nn.LSTM(2, 2), nn.LSTM(2, 2)
        self._trainer = None


class Normed(nn.Module):
    def __init__(self, *, old: bool = False) -> None:
        super().__init__()
        norm = nn.utils.weight_norm if old else nn.utils.parametrizations.weight_norm
        self.l = norm(nn.Linear(2, 2))


def changed(module: nn.Module, **attributes: object) -> nn.Module:
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        (nn.MultiheadAttention(8, 4), {"embed_dim": 8, "num_heads": 2}, "attribute head_dim is 4, expected 2"),
        (Act(0.5), {}, "attribute slope is 0.1, expected 0.5"),
        (Act(0.5), {"slope": 0.25}, "attribute slope is 0.25, expected 0.5"),
        (changed(Act(), note="x"), {}, "attribute note is 'x'"),
        (Passing(3.0), {}, "non-persistent buffer steps comes back changed"),
        (Passing().half(), {}, "non-persistent buffer steps"),
        (Calling(0.5), {}, r"attribute act \(its slope\)"),
        (changed(Calling(), relu=nn.functional.gelu), {}, "attribute relu"),
        (changed(Calling(), act=lambda x: x + 1), {}, "attribute act"),
        (OwnState(2), {}, "attribute size is 1, expected 2"),
        (Hidden(), {}, r"attribute layers\[0\]\.weight"),
        (Guess(), {}, "attribute first"),
        (
            nn.TransformerEncoderLayer(8, 2, 4, activation="gelu"),
            {"d_model": 8, "nhead": 2, "dim_feedforward": 4},
            "act",
        ),
    ],
)
def test_what_neither_the_arguments_nor_the_tensors_hold_is_refused_by_name(module, arguments, named) -> None:
    with pytest.raises(InvalidInputError, match=named) as caught:
        store(module, init_args=arguments)
    assert caught.value.kind == "model-mismatch"
    assert "persistent buffer" in caught.value.hint


def test_an_attribute_of_a_module_inside_is_named_with_its_path() -> None:
    stack = Stack()
    stack.all[1].slope = 0.75
    with pytest.raises(InvalidInputError, match=r"attribute all\.1\.slope is 0\.5, expected 0\.75"):
        store(stack)
    stack = Stack()
    stack.mask[0, 0] = -1.0
    with pytest.raises(InvalidInputError, match=r"attribute mask is tensor.*, expected tensor"):
        store(stack)


def test_random_numbers_do_not_pass_because_the_generator_was_seeded_alike() -> None:
    torch.manual_seed(3)
    guess = Guess()
    torch.manual_seed(3)
    with pytest.raises(InvalidInputError, match="attribute first"):
        store(guess)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (nn.Linear, {"in_features": 2, "out_features": 3}),
        (nn.Conv2d, {"in_channels": 1, "out_channels": 2, "kernel_size": (3, 1), "padding": "same"}),
        (nn.ConvTranspose1d, {"in_channels": 1, "out_channels": 2, "kernel_size": 2}),
        (nn.BatchNorm1d, {"num_features": 2}),
        (nn.LSTM, {"input_size": 2, "hidden_size": 3, "num_layers": 2, "bidirectional": True, "proj_size": 1}),
        (nn.GRU, {"input_size": 2, "hidden_size": 3}),
        (nn.GRUCell, {"input_size": 2, "hidden_size": 3}),
        (nn.MultiheadAttention, {"embed_dim": 8, "num_heads": 4, "add_bias_kv": True, "kdim": 4}),
        (nn.TransformerEncoderLayer, {"d_model": 8, "nhead": 2, "dim_feedforward": 4, "activation": "gelu"}),
        (nn.Transformer, {"d_model": 8, "nhead": 2, "dim_feedforward": 4, "num_encoder_layers": 2}),
        (nn.Embedding, {"num_embeddings": 3, "embedding_dim": 2, "padding_idx": 0, "max_norm": 1.0}),
        (nn.LayerNorm, {"normalized_shape": 3}),
        (nn.Dropout, {"p": 0.25}),
        (nn.PReLU, {}),
        (nn.AdaptiveLogSoftmaxWithLoss, {"in_features": 4, "n_classes": 9, "cutoffs": [3, 6]}),
        (nn.CrossEntropyLoss, {"label_smoothing": 0.1}),
        (Act, {"slope": 0.5}),
        (Calling, {"slope": 0.5}),
        (OwnState, {"size": 3}),
        (Normed, {"old": False}),
        (Normed, {"old": True}),
        (Net, {"input_dim": 5}),
        (Tied, {}),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_module_as_its_arguments_make_it_comes_back(cls, arguments, dtype) -> None:
    module = cls(**arguments).to(dtype).eval()
    source, encoded = store(module, init_args=arguments)
    back = handler_of("torch").decode(source, encoded.details, model_class=cls)
    assert repr(back) == repr(module)
    assert_same_state(back.state_dict(), module.state_dict())


def test_modules_with_more_than_tensors_come_back_after_use() -> None:
    decode = handler_of("torch").decode
    sizes = [[2, 2]] * 3
    trained = LightningModule(sizes)
    trained._trainer = object()
    trained.two.weight_ih_l0 = trained.one.weight_ih_l0
    source, encoded = store(trained, init_args={"sizes": sizes})
    assert decode(source, encoded.details).sizes == sizes
    tied = Tied()
    tied.decoder = tied.encoder
    assert_same_state(roundtrip(tied).state_dict(), tied.state_dict())
    stack = roundtrip(Stack())
    assert torch.equal(stack.mask, torch.ones(2, 2).triu())
    assert torch.equal(stack.all[2].steps, 3.0 ** torch.arange(3))
    calling, own, extra = Calling(), OwnState(), Extra()
    assert calling.sizes == [2]
    calling.fast()
    own.cache = torch.ones(2)
    extra.seen += [1, 2]
    assert torch.equal(roundtrip(calling)(torch.ones(2)), calling(torch.ones(2)))
    assert memory[roundtrip(own)] == 1
    assert roundtrip(extra).seen == [1, 2]
    lstm = nn.LSTM(2, 3)
    lstm(torch.rand(4, 1, 2))[0].sum().backward()
    source, encoded = store(copy.deepcopy(lstm), init_args={"input_size": 2, "hidden_size": 3})
    assert torch.equal(decode(source, encoded.details)(torch.ones(1, 1, 2))[0], lstm(torch.ones(1, 1, 2))[0])


def test_an_extra_state_that_is_no_tensor_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(Untensored())
    assert caught.value.kind == "unsupported-tensor"
    assert caught.value.objects["entry"] == "_extra_state"


def flags_of(module) -> tuple[object, ...]:
    frozen = [name for name, one in module.named_parameters(remove_duplicate=False) if not one.requires_grad]
    return frozen, {name: one.training for name, one in module.named_modules(remove_duplicate=False)}


def header_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the safetensors header, and the numbers behind it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


class Frozen(nn.Module):
    """Freezes a part of itself, and evaluates from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        self.body.requires_grad_(False)
        self.eval()


def partly_frozen() -> Net:
    net = Net(5)
    net.fc1.requires_grad_(False)
    net.norm.eval()
    return net


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (Net(5), {"input_dim": 5}),
        (Net(5).eval(), {"input_dim": 5}),
        (partly_frozen(), {"input_dim": 5}),
        (Tied().requires_grad_(False), {}),
        (Frozen(), {}),
        (Frozen().train(), {}),
        (Frozen().requires_grad_(True), {}),
    ],
)
def test_what_is_frozen_and_what_evaluates_comes_back(module, arguments) -> None:
    source, encoded = store(module, init_args=arguments)
    assert flags_of(handler_of("torch").decode(source, encoded.details)) == flags_of(module)


def test_flags_are_written_where_the_class_makes_them_otherwise() -> None:
    def written(module: nn.Module) -> dict[str, Any]:
        return json.loads(header_of(store(module)[0].content)[0]["__metadata__"]["lakefolio"])

    assert written(Frozen()).keys() == {"object", "order", "tied"}
    thawed = written(Frozen().requires_grad_(True))
    assert thawed["frozen"] == []
    assert "training" not in thawed


@pytest.mark.parametrize("flags", [{"frozen": 1}, {"frozen": [1]}, {"training": "no"}, {"other_mode": {}}])
def test_flags_of_another_type_are_damage(flags) -> None:
    source, encoded = store(Net(5), init_args={"input_dim": 5})
    header, numbers = header_of(source.content)
    header["__metadata__"]["lakefolio"] = json.dumps(json.loads(header["__metadata__"]["lakefolio"]) | flags)
    spoilt = json.dumps(header).encode()
    spoilt += b" " * (-len(spoilt) % 8)
    spoilt = len(spoilt).to_bytes(8, "little") + spoilt + numbers
    with pytest.raises(IntegrityError, match=rf"can't be read: '{next(iter(flags))}' of the header is"):
        handler_of("torch").decode(MemorySource(spoilt), encoded.details)


def test_flags_of_names_that_another_class_lacks_are_left_alone() -> None:
    source, encoded = store(Net(5).requires_grad_(False), init_args={"input_dim": 5})
    back = handler_of("torch").decode(source, encoded.details, model_class=lambda **_: nn.Linear(5, 3), strict=False)
    assert flags_of(back) == ([], {"": True})
