"""The provenance of an item as one file: what it tells, and that nothing in it can be changed unnoticed."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import AlreadyExistsError, InvalidInputError, LakefolioError, LocalFileNotFoundError
from lakefolio.provenance.statement import canonical, check_statement, digest_of_node


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake", author="ada")
    folio = lake.folio("f")
    folio.add("raw", pd.DataFrame({"a": [1, 2]}), inputs=["https://example.org/raw.csv"], version="1.0.0")
    folio.add("cfg", {"k": 1})
    with lake.run("train", params={"lr": 0.1}) as run:
        run.input("f:raw")
        folio.add_query("mid", 'select a + 1 as b from "f:raw"')
        folio.add("out", {"score": 1}, inputs=["mid", "cfg", "raw"])
    folio.add("raw", pd.DataFrame({"a": [9]}), overwrite=True)
    return lake


def keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """Make a pair of keys."""
    private = Ed25519PrivateKey.generate()
    paths = folder / f"{name}.pem", folder / f"{name}.pub"
    paths[0].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    paths[1].write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return paths


def test_the_chain_leads_to_every_source(lake: lf.Lake, tmp_path: Path) -> None:
    found = lake.folio("f").provenance("out")
    nodes = found.statement["predicate"]["nodes"]
    refs = {node["ref"]: node for node in nodes.values()}
    entries = [lake.item(ref) for ref in ("f:out", "f:mid", "f:cfg", "f:raw@1.0.0")]
    assert {one.ref for one in entries} == {ref for ref in refs if not ref.startswith("run ")}
    for one in entries:
        assert refs[one.ref]["digest"] == one.digest
        assert refs[one.ref]["author"] == "ada"
    (run,) = [node for node in nodes.values() if node["type"] == "run"]
    assert run["facts"]["params.lr"] == "0.1"
    assert refs[entries[3].ref]["version_label"] == "1.0.0"
    (edge,) = [one for one in refs[entries[1].ref]["inputs"] if one.get("details")]
    assert json.loads(edge["details"])["columns"] == {"b": ["a"]}
    assert found.root == digest_of_node(refs[entries[0].ref])
    assert str(found).splitlines()[0].startswith(entries[0].ref)
    assert "https://example.org/raw.csv" in str(found)
    saved = found.save(tmp_path / "out.json")
    told = lf.verify_provenance(saved)
    assert told.ok
    assert (told.subject, told.signature) == (entries[0].ref, "none")
    assert told.sources == (entries[2].ref, "https://example.org/raw.csv")
    statement = json.loads(saved.read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"]["sha256"] == entries[0].blob_digest.removeprefix("sha256:")  # type: ignore[union-attr]


def test_it_is_the_same_whenever_it_is_asked(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    before = folio.provenance("out").root
    folio.add("later", 1, inputs=["out"]).archive("cfg")
    lake.compact()
    assert folio.provenance("out").root == before
    assert lf.open(lake.uri).folio("f").provenance("out", at=lake.item("f:out").version).root == before
    folio.add("cfg", {"k": 2}, overwrite=True)
    assert folio.provenance("out").root == before
    assert folio.provenance("later").root != before


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the values lie in a JSON value."""
    if isinstance(value, dict):
        return [one for key, inner in value.items() for one in places(inner, (*path, key))]
    if isinstance(value, list):
        return [one for key, inner in enumerate(value) for one in places(inner, (*path, key))]
    return [path]


def test_nothing_can_be_changed_unnoticed(lake: lf.Lake) -> None:
    """Every single value, whichever it is; what stands beside the chain (the lake) is for the signature."""
    statement = json.loads(canonical(lake.folio("f").provenance("out").statement))
    assert check_statement(statement, "none").ok
    beside: dict[tuple[Any, ...], Any] = {("predicate", "lake_id"): "0" * 32, ("predicate", "lake_version"): 10**6}
    found = places(statement)
    assert len(found) > 60
    for path in found:
        changed = copy.deepcopy(statement)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "x" if inner[path[-1]] != "x" else "y"
        assert not check_statement(changed, "none").ok, path
        if path in beside:
            inner[path[-1]] = beside[path]
            assert check_statement(changed, "none").ok, path
    statement["predicate"]["lake_version"] = 1  # before the item was made
    assert not check_statement(statement, "none").ok


def test_what_is_left_out_or_added_is_told(lake: lf.Lake) -> None:
    statement = json.loads(canonical(lake.folio("f").provenance("out").statement))
    nodes = statement["predicate"]["nodes"]
    for key in nodes:
        less = copy.deepcopy(statement)
        del less["predicate"]["nodes"][key]
        assert not check_statement(less, "none").ok
    more = copy.deepcopy(statement)
    node = {"type": "entry", "ref": "f:false@1", "inputs": []}
    more["predicate"]["nodes"][digest_of_node(node)] = node
    assert check_statement(more, "none").problems == ("f:false@1 belongs to nothing",)
    other = copy.deepcopy(statement)
    other["predicate"]["root"] = next(key for key in nodes if key != statement["predicate"]["root"])
    assert not check_statement(other, "none").ok


def test_what_stands_beside_the_chain_is_told(lake: lf.Lake) -> None:
    statement = json.loads(canonical(lake.folio("f").provenance("out").statement))
    for path in ((), ("predicate",)):
        more = copy.deepcopy(statement)
        (more["predicate"] if path else more)["note"] = "approved"
        assert check_statement(more, "none").problems == ("its key 'note' is none of a statement",)
    for key in ("lake_id", "lake_version"):
        less = copy.deepcopy(statement)
        del less["predicate"][key]
        assert check_statement(less, "none").problems == (f"its key '{key}' is missing",)


def test_text_that_two_programs_read_differently_is_refused(lake: lf.Lake, tmp_path: Path) -> None:
    saved = lake.folio("f").provenance("out").save(tmp_path / "out.json")
    text = saved.read_text()
    ref = '"ref":"f:out@'
    assert ref in text
    for other in (
        text.replace("{", '{"predicate":{},', 1).encode(),
        text.replace(ref, '"ref":"f:approved@1",' + ref).encode(),
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + text.encode(),
    ):
        saved.write_bytes(other)
        with pytest.raises(InvalidInputError, match="it is no JSON"):
            lf.verify_provenance(saved)


def test_a_signature_says_whose_it_is(lake: lf.Lake, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    _, other = keys(tmp_path, "other")
    found = lake.folio("f").provenance("out")
    saved = found.save(tmp_path / "out.json", key=private)
    assert lf.verify_provenance(saved).signature == "unchecked"
    assert lf.verify_provenance(saved).ok
    for key in (public, private):
        told = lf.verify_provenance(saved, key=key)
        assert (told.ok, told.signature) == (True, "valid")
    told = lf.verify_provenance(saved, key=other)
    assert (told.ok, told.signature, told.problems) == (False, "wrong", ("the key given has not signed it",))
    assert "signed, but not by the key given" in str(told)
    envelope = json.loads(saved.read_text())
    payload = base64.b64decode(envelope["payload"])
    for part, value in {
        "payload": base64.b64encode(payload.replace(b'"lake_version":', b'"lake_version":1')).decode(),
        "signatures": [],
        "payloadType": "text/plain",
    }.items():
        saved.write_text(json.dumps({**envelope, part: value}))
        told = lf.verify_provenance(saved, key=public)
        assert (told.ok, told.signature) == (False, "wrong" if part != "signatures" else "none"), part
        told = lf.verify_provenance(saved)
        assert told.signature == ("unchecked" if part != "signatures" else "none"), part
        assert told.ok == (part != "payloadType")
    found.save(saved, overwrite=True)
    assert lf.verify_provenance(saved, key=public).problems == ("it is not signed",)
    with pytest.raises(AlreadyExistsError):
        found.save(saved)


def test_the_bytes_of_the_item_are_compared(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("f")
    saved = folio.provenance("mid").save(tmp_path / "mid.json")
    assert lf.verify_provenance(saved, content=folio.item_path("mid")).ok
    assert not lf.verify_provenance(saved, content=folio.item_path("raw")).ok
    with pytest.raises(LocalFileNotFoundError):
        lf.verify_provenance(saved, content=tmp_path / "nope")


@pytest.mark.parametrize("text", ["", "7", "[]", "{}", "{", '"x"', "[" * 3000, '{"payload": 3, "payloadType": ""}'])
def test_a_file_that_is_none_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    try:
        found = lf.verify_provenance(path)
    except LakefolioError as exc:
        assert exc.kind == "bad-provenance"
    else:
        assert not found.ok


def test_keys_that_are_none_are_refused(lake: lf.Lake, tmp_path: Path) -> None:
    rsa = generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    found = lake.folio("f").provenance("cfg")
    for name, text in {"text": b"a key", "rsa": rsa, "public": keys(tmp_path)[1].read_bytes()}.items():
        path = tmp_path / name
        path.write_bytes(text)
        with pytest.raises(InvalidInputError) as failed:
            found.save(tmp_path / "out.json", key=path)
        assert failed.value.kind == "bad-key"
        assert not (tmp_path / "out.json").exists()
    with pytest.raises(LocalFileNotFoundError):
        found.save(tmp_path / "out.json", key=tmp_path / "nope")


def test_a_long_chain_and_one_that_goes_round(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("long").add("0", 0)
    with lake.batch():
        for number in range(1, 1200):
            folio.add(str(number), number, inputs=[str(number - 1)])
    found = folio.provenance("1199")
    assert len(found.statement["predicate"]["nodes"]) == 1200
    assert lf.verify_provenance(found.save(tmp_path / "long.json")).ok
    assert "nodes in all" in str(found)
    with lake.run("round") as run:
        run.add_output("x", 1)
        run.add_input("own", f"runs/{run.run_id}:x")
    (output,) = lake.get_run(run.run_id).outputs
    folder, _, item = output.ref.partition("@")[0].partition(":")
    saved = lake.folio(folder).provenance(item).save(tmp_path / "round.json")
    assert lf.verify_provenance(saved).ok


def test_the_commands(lake: lf.Lake, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    path = str(tmp_path / "out.json")

    def run(*args: str, fails: int = 0) -> str:
        done = CliRunner().invoke(cli, ["--lake", lake.uri, *args])
        assert done.exit_code == fails, done.output
        return done.output

    assert "https://example.org/raw.csv" in run("provenance", "f:out")
    assert "signed" in run("provenance", "f:out@latest", "--out", path, "--key", str(private))
    assert "verified" in run("verify", path, "--key", str(public))
    assert json.loads(run("--json", "verify", path))["ok"]
    run("provenance", "f:out", "--out", path, fails=4)
    run("provenance", "f:out", "--key", str(private), fails=2)
    Path(path).write_text(Path(path).read_text().replace("payload", "pay"))
    assert "NOT verified" in run("verify", path, "--key", str(public), fails=8)
    run("verify", str(tmp_path / "nope"), fails=2)
