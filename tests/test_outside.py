"""Models from outside: folders, names on the hub with a commit and without, damaged and foreign files. `try_models` of
the benchmarks has whole runs of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from tests.conftest import ROOT
from trainers import launch, model, outside, pretrain
from trainers.configs import ModelShape, PretrainConfig

SHAPE = ModelShape(hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, intermediate_size=64)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model.language_model(SHAPE, 300, 0, 1, 0).hf.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load(place: Path) -> object:
    return model.reward_model(SHAPE, 300, 0, 1, 0, str(place))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "init=nowhere is no folder on this machine; name one, or a model on the hub as NAME@COMMIT"),
        (NAME, f"has no commit: .* name the 40 hexadecimal digits of one, init={NAME}@COMMIT"),
        (f"{NAME}@", "has no commit"),
        (f"{NAME}@main", "has 'main' for a commit"),
        (f"{NAME}@{COMMIT[:12]}", f"has '{COMMIT[:12]}' for a commit"),
        (f"{NAME}@{COMMIT}\n", "for a commit"),
        (f"../{NAME}@{COMMIT}", "is no folder"),
        ("hf://someone/model", "init=hf://someone/model is a URL; copy the folder to this machine"),
    ],
)
def test_what_names_no_bytes_is_refused_before_anything_is_fetched(
    place: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "snapshot_download", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(ValueError, match=message):
        outside.folder(place, "init")


def test_a_folder_is_itself_and_a_tokenizer_may_have_a_url(tmp_path: Path) -> None:
    assert outside.folder(str(tmp_path), "init") == str(tmp_path)
    assert outside.folder("gs://bucket/tokenizer", "tokenizer") == "gs://bucket/tokenizer"
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"model=.*file is a file; name the folder it lies in"):
        outside.folder(str(tmp_path / "file"), "model")


class _Hub(BaseHTTPRequestHandler):
    """The hub, as far as a snapshot is fetched from it."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        data, file = b"", self.folder / self.path.rpartition("/")[2]
        if self.path.startswith(f"/api/models/{NAME}/") and COMMIT in self.path:
            files = [(path.name, path.stat().st_size) for path in sorted(self.folder.iterdir())]
            tree = [{"type": "file", "path": name, "size": size, "oid": name} for name, size in files]
            repository = {"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name, _ in files]}
            data = json.dumps(tree if "/tree/" in self.path else repository).encode()
        elif file.is_file() and f"/resolve/{COMMIT}/" in self.path:
            data = file.read_bytes()
        self.send_response(200 if data else 404)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(folder: Path) -> Iterator[str]:
    _Hub.folder, _Hub.asked = folder, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def fetched(endpoint: str, cache: Path, place: str, key: str = "init") -> subprocess.CompletedProcess[str]:
    """The folder and the digest of a place, by a process that takes a server for the hub."""
    program = (
        "import sys\nfrom trainers import outside\n"
        f"try:\n    found = outside.folder({place!r}, {key!r})\n"
        "except ValueError as error:\n    sys.exit(str(error))\n"
        f"print(found, outside.digest({place!r}, found))"
    )
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "PATH": "", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def test_a_commit_on_the_hub_is_fetched_and_named(folder: Path, hub: str, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "own.py").write_text("raise SystemExit")
    done = fetched(hub, tmp_path / "cache", f"{NAME}@{COMMIT}")
    assert done.returncode == 0, done.stderr
    place, digest = done.stdout.split()
    words = fetched(hub, tmp_path / "words", f"{NAME}@{COMMIT}", "tokenizer")
    assert not list(Path(words.stdout.split()[0]).glob("*.safetensors")), "a tokenizer needs no weights"
    names = {path.name for path in Path(place).iterdir()}
    assert names == {"config.json", "generation_config.json", "model.safetensors"}, "neither code nor pickled weights"
    assert all(COMMIT in path for path in _Hub.asked if NAME in path)
    load(Path(place))
    assert digest not in (outside.digest(place, place), outside.digest(f"{NAME}@{'0' * 40}", place)), "names its commit"
    assert digest == outside.digest(f"{NAME}@{COMMIT}", place)
    for wrong in (f"{NAME}@{'0' * 40}", f"someone/other@{COMMIT}"):
        refused = fetched(hub, tmp_path / "other", wrong)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"init={wrong} could not be fetched from the hub: ")
        assert len(refused.stderr.splitlines()) == 1


def test_a_tokenizer_that_a_server_keeps_is_refused_in_one_line(tmp_path: Path) -> None:
    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_address[1]}/tokenizer"
    config = PretrainConfig(data="data", tokenizer=place, output=str(tmp_path))
    with pytest.raises(ValueError, match=rf"^tokenizer={place} cannot be read: ClientResponseError: 403[^\n]*$"):
        launch.run(config, pretrain.make_job)
    server.shutdown()
    server.server_close()


def test_a_model_is_named_by_its_bytes(folder: Path) -> None:
    before = outside.digest(str(folder), str(folder))
    assert outside.digest("", "") == ""
    (folder / "notes.txt").write_text("x")
    assert outside.digest(str(folder), str(folder)) == before
    (folder / "config.json").write_text(json.dumps({**json.loads((folder / "config.json").read_text()), "a": 1}))
    assert outside.digest(str(folder), str(folder)) != before


def changed(folder: Path, **values: object) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **values}))


def indexed(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda to: (to / "config.json").write_text("[]"), r"config\.json holds no JSON object"),
        (lambda to: changed(to, model_type=7), r"config\.json names no model_type"),
        (lambda to: changed(to, num_attention_heads=0), "cannot be loaded as its config.json says: ZeroDivisionError"),
        (lambda to: changed(to, vocab_size=640), r"weight model\.embed_tokens\.weight has the shape \[320, 32\], its"),
        (lambda to: changed(to, layer_types=["sliding_attention"]), "packed rows need full attention"),
        (lambda to: changed(to, vocab_size=64), "the tokenizer has 300 tokens"),
        (lambda to: (to / "adapter_config.json").write_text("{}"), "holds an adapter"),
        (lambda to: indexed(to, {"a": "b.safetensors"}), r"index\.json names b\.safetensors, which is not there"),
        (lambda to: indexed(to, {"a": "../b.safetensors"}), r"names \.\./b\.safetensors, which is no safetensors file"),
        (lambda to: indexed(to, {"a": "a.bin"}), r"names a\.bin, which is no safetensors file beside it"),
        (lambda to: indexed(to, []), "has no weight_map"),
        (lambda to: indexed(to, {"a": 1}), "has no weight_map"),
        (
            lambda to: save_file({"model.norm.weight": torch.ones(32)}, to / "model.safetensors", {"format": "pt"}),
            "lacks weights of a qwen3 model, such as model.embed_tokens.weight",
        ),
    ],
)
def test_a_bad_model_is_refused_in_one_line(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(ValueError, match=rf"^[^\n]*{message}[^\n]*$") as refused:
        load(folder)
    assert str(folder) in str(refused.value)


FOREIGN = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("mistral", {"sliding_window": 16}, "has sliding_attention layers; packed rows need full attention everywhere"),
        ("granite", {"logits_scaling": 8.0}, "is a granite model, whose own class makes something else"),
        ("cohere", {"logit_scale": 0.06}, "is a cohere model, whose own class makes something else"),
        ("gpt2", {}, "is a gpt2 model, whose layers are not in one list"),
        ("mistral", {"sliding_window": None}, ""),
        ("gpt_neox", {}, ""),
    ],
)
def test_a_model_that_would_be_trained_in_another_way_than_it_is_used_is_refused(
    kind: str, settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    made = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**FOREIGN, **settings))
    torch.nn.init.normal_(made.get_output_embeddings().weight)
    made.save_pretrained(tmp_path)
    if message:
        with pytest.raises(ValueError, match=rf"^[^\n]*{message}[^\n]*$"):
            model.language_model(SHAPE, 300, 0, 1, 0, str(tmp_path))
    else:
        assert model.language_model(SHAPE, 300, 0, 1, 0, str(tmp_path))
        assert load(tmp_path)


def test_weights_in_parts_are_read(folder: Path) -> None:
    wanted = load_file(folder / "model.safetensors")
    indexed(folder, dict.fromkeys(wanted, "a.safetensors"))
    found = load(folder).hf.model.state_dict()
    assert all(torch.equal(found[name.removeprefix("model.")], tensor) for name, tensor in wanted.items())
