"""Secrets that are planted through every public way lie neither in the lake nor in a message, a repr or a warning."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.config.settings import KEYS, found
from lakefolio.process import provenance
from lakefolio.recording.source_code import code_so_far
from lakefolio.redaction import is_secret_name, scrub, scrub_address, scrub_code, scrub_command, scrub_value

_numbers = iter(range(1000))
PLANTED: list[str] = []


def S(form: str = "{}") -> str:  # noqa: N802 - it stands in many texts
    """Return a new secret in a form."""
    secret = f"Hush{next(_numbers):03d}hush"
    PLANTED.append(secret)
    return form.replace("{}", secret)


AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzHUSHzKEYa"
PLANTED.append(AWS_SECRET)
PEM = S("-----BEGIN PRIVATE KEY-----\nMIIEvQ{}\nBADANB\n-----END PRIVATE KEY-----\n")

COMMAND = [
    "train.py",
    *("--password", S()),
    S("--password={}"),
    S("-p{}"),
    S("--auth=user:{}"),
    *("-u", S("user:{}")),
    S("-uuser:{}"),
    *("--user", S("user:{}")),
    *("-H", S("Authorization: Bearer {}")),
    *("-H", S("Authorization: Basic {}")),
    *("-H", S("X-Api-Key: {}")),
    S("--header=Authorization: token {}"),
    *("--token", S()),
    *("--hf_token", S("hf_{}")),
    S('{"password": "{}"}'),
    S('--config={"db": {"passwd": "{}", "port": 1}}'),
    S('{\\"api_key\\": \\"{}\\"}'),
    S("db.password={}"),
    S("PGPASSWORD={}"),
    S("--env=DB_PASSWORD={}"),
    S("--apiKey={}"),
    *("--client-secret", S()),
    S("https://user:{}@host/x"),
    S("https://{}@host/x"),
    S("postgresql://user:{}/pa+ss@host/db"),
    S("redis://:{}@host:6379/0"),
    S("s3://AKIA0123456789ABCDEF:{}@bucket/key"),
    S("https://b.s3.amazonaws.com/k?X-Amz-Credential=a&X-Amz-Signature={}&X-Amz-Date=1"),
    S("https://a.blob.core.windows.net/c?sv=2020&sig={}"),
    S("https://storage.googleapis.com/b/k?X-Goog-Signature={}"),
    S("https://host/x?access_token={}"),
    S("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={}==;EndpointSuffix=x"),
    S("Server=x;User Id=u;Password={};"),
    *("--cookie", S("session={}")),
    *("-c", S("connect('h', password='{}')")),
    S("ghp_{}"),
    S("github_pat_{}"),
    S("sk-proj-{}"),
    S("xoxb-1-{}"),
    S("glpat-{}"),
    S("eyJhbGciOiJI.eyJzdWIiOiIx.{}"),
    AWS_SECRET,
    "--lr",
    "0.1",
    "--max-tokens",
    "128",
]
TEXTS = {  # of what a person writes: by shape and place
    "userinfo": S("from postgresql://ada:{}@host/db"),
    "signed": S("see https://b.s3.amazonaws.com/k?X-Amz-Signature={}"),
    "sas": S("see https://a.blob.core.windows.net/c?sv=1&sig={}"),
    "github": S("made with ghp_{}"),
    "aws": S("key ASIA0123456789{}").replace("hush", "HUSH").replace("Hush", "HUSH"),
    "jwt": S("eyJhbGciOiJI.eyJzdWIiOiIx.{}"),
    "bearer": S("Bearer {}.1"),
    "pem": PEM,
    "curl": S("curl -u bob:{} http://h/x"),
    "curl user": S("see curl --user='bob:{}' h/x"),
    "storage account": S("AccountKey={}aaaaaaaa=="),
    "service bus": S("Endpoint=sb://h/;SharedAccessKey={}aaaaaaaa="),
}
PLANTED += [match[0] for match in re.finditer(r"ASIA\w+", TEXTS["aws"])]
ERRORS = {
    "keyword": S("connect() got password='{}'"),
    "assigned": S("DB_PASSWORD={} is wrong"),
    "json": S('{"error": "denied", "token": "{}"}'),
    "header": S("request had Authorization: Bearer {}"),
    "dict": S("{'headers': {'x-api-key': '{}'}}"),
    "url": S("GET https://u:{}@host/x failed"),
    "environ": S('os.environ["API_SECRET"] = "{}"'),
    "colon": S("client_secret: {}"),
    "tuple": S("Session(auth=('ada', '{}'))"),
    "basic": S("HTTPBasicAuth('ada', '{}')"),
    "option": S("curl --password {} failed"),
    "material": f"with {AWS_SECRET}",
}


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


def said_by(call: Callable[[], Any]) -> str:
    """Return what a call says: its result's repr, its error, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = repr(call())
        except lf.LakefolioError as exc:
            chain, one = [], exc
            while one is not None:
                chain += [str(one), repr(one), str(getattr(one, "objects", ""))]
                one = one.__cause__
            result = "\n".join(chain)
    return "\n".join([result, *(str(one.message) for one in caught)])


def texts_of(lake: lf.Lake) -> Iterator[tuple[str, str]]:
    """Give everything that lies in a lake, Parquet files decoded, and everything that reading it says."""
    lake.flush()
    for path in Path(lake.uri).rglob("*"):
        if not path.is_file():
            continue
        yield str(path), path.read_bytes().decode(errors="replace")
        if path.suffix == ".parquet":
            yield str(path), str(pq.read_table(path).to_pylist())
    for view in ("entries", "commits", "runs", "snapshots", "lineage_edges", "item_metadata", "metadata", "events"):
        yield view, str(lake.sql(f"select * from {view}").fetchall())
    for run in lake.runs():
        yield "run", repr(run) + str(run.to_dict()) + run._repr_html_()
    for folio in lake.folios():
        one = lake.folio(folio)
        yield folio, repr(one) + str(one.describe()) + one._repr_html_()
        yield folio, "".join(str(one.get_snapshot_info(each["name"])) for each in one.list_snapshots())
        yield folio, "".join(one.reproduce_instructions(each["name"]) for each in one.list_snapshots())
    yield "log", str(lake.log()) + repr(lake) + lake._repr_html_() + str(lake.info())


def assert_clean(where: str, text: str) -> None:
    for secret in PLANTED:
        assert secret not in text, (where, secret, text[max(0, text.index(secret) - 100) :][:300])


def assert_clean_lake(lake: lf.Lake) -> None:
    for where, text in texts_of(lake):
        assert_clean(where, text)


def test_there_are_many() -> None:
    assert len(COMMAND) + len(TEXTS) + len(ERRORS) > 60


# -- ways in ------------------------------------------------------------------------------------------------------


def test_command_lines(lake: lf.Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", COMMAND)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, *COMMAND])
    with lake.run("x"):
        pass
    lake.capture(lambda: 1)()
    lake.folio("f").add("x", 1).create_snapshot("s", capture_execution=True, capture_environment=True)
    command = lake.runs()[0].command
    assert "--lr 0.1 --max-tokens 128" in lake.folio("f").get_snapshot_info("s")["execution"]["entry_point"]
    assert "train.py --password ***" in command
    assert_clean_lake(lake)


@pytest.mark.parametrize("number", range(len(COMMAND)))
def test_each_word_of_a_command_line(number: int) -> None:
    shown = scrub_command(["python", *COMMAND[: number + 1]])
    assert_clean("command", shown)


def test_a_command_line_of_a_process(lake: lf.Lake, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        f"import lakefolio as lf\nlake = lf.open({lake.uri!r})\n"
        "with lake.run('x'): pass\nlake.folio('f').add('x', 1).create_snapshot('s', capture_execution=True)\n"
    )
    done = subprocess.run([sys.executable, script, *COMMAND[1:]], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_clean("output", done.stdout + done.stderr)
    assert_clean_lake(lake)


def test_arguments_of_captured_functions(lake: lf.Lake, tmp_path: Path, caplog) -> None:
    (tmp_path / "credentials.json").write_text(S('{"private_key": "{}"}'))

    @lake.capture
    def connect(*args: Any, password: str = "", token: str = "", api_key: str = "", **more: Any) -> int:
        return 1

    caplog.set_level(logging.DEBUG)
    said = said_by(
        lambda: connect(
            S("https://u:{}@h/x"),
            {"user": "ada", "password": S()},
            [{"Authorization": S("Bearer {}")}],
            S("mysql://u:{}@h/x"),
            password=S(),
            token=S(),
            api_key=S(),
            auth=("ada", S()),
            client_secret={"a": [S()]},
            private_key=S().encode(),
            credentials=tmp_path / "credentials.json",
            service_account_key=PEM,
            session_token="x" * 5000 + S(),
            headers={"Cookie": S(), "x-api-key": S()},
            dsn=S("Server=x;Pwd={}"),
            presigned=S("https://h/x?X-Amz-Signature={}"),
            config=S('{"db_password": "{}"}'),
            what=object(),
            long_config={"rows": ["row"] * 2000, "db": {"password": S()}},
            long_text="x" * 5000 + S(" token={}"),
            passcode=123456,
            max_tokens=128,
            pad_token="<pad>",
            key="id",
        )
    )
    (run,) = lake.runs()
    assert run.params["password"] == "***"
    assert run.params["args.1"] == {"user": "ada", "password": "***"}
    assert (run.params["max_tokens"], run.params["pad_token"], run.params["key"]) == (128, "<pad>", "id")
    assert "argument 'password'" in said
    assert "argument 'long_config'" in said
    assert run.params["passcode"] == "***"
    assert_clean("said", said + caplog.text)
    assert_clean_lake(lake)


def test_a_cached_function_tells_secrets_apart_without_keeping_them(lake: lf.Lake) -> None:
    made = []

    @lake.capture(cache=True)
    def load(token: str) -> int:
        made.append(token)
        return len(made)

    first, second = S(), S()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [load(first), load(first), load(second)] == [1, 1, 2]
    assert_clean_lake(lake)


def test_parameters_and_facts_of_runs(lake: lf.Lake) -> None:
    params = {"password": S(), "db": {"token": S(), "port": 1}, "url": S("https://u:{}@h"), "auth": ["a", S()], "n": 1}
    noted = {"api_key": S(), "note": TEXTS["jwt"]}
    said = said_by(lambda: lake.create_run("a", params=params, metadata=noted).finish())

    def later() -> None:
        with lake.run("b", description=TEXTS["userinfo"], project=TEXTS["github"], tags=[TEXTS["sas"]]) as run:
            run.set_params(secret=S(), more=S("token={}"))
            run.annotate(credentials=S(), about=TEXTS["bearer"])
            run.log_event("e", "s", {"url": TEXTS["signed"], "deep": [TEXTS["aws"]]})

    said += said_by(later)
    lake.log_event("m", "s", "e", {"headers": TEXTS["bearer"], "key": TEXTS["pem"]})
    run = lake.get_run("a") if any(one.run_id == "a" for one in lake.runs()) else lake.runs()[-1]
    assert run.params["n"] == 1
    assert run.params["db"] == {"token": "***", "port": 1}
    assert "parameter 'password' seems to hold a secret" in said
    assert_clean("said", said)
    assert_clean_lake(lake)


def test_texts_of_people(lake: lf.Lake) -> None:
    def write(name: str, words: str) -> None:
        folio = lake.folio(name)
        with lake.batch(words):
            folio.add("x", 1, description=words, metadata={"source": words, "deep": {"a": [words]}}, tags=[words])
        folio.metadata["note"] = words
        lake.annotate(description=words)
        lake.snapshot(name, message=words)
        folio.create_snapshot("s", description=words, tags=[words])
        folio.update_item("x", description=words)
        with lake.run("r", description=words) as run:
            run.add_output("y", 1, description=words, metadata={"a": words})
        with folio.batch(words):
            folio.add("z", 1)
        lake.create_dataset(name, [f"{name}:x"], description=words, metadata={"a": words})

    for name, words in TEXTS.items():
        said = said_by(lambda name=name, words=words: write(name, words))
        assert "seems to hold a secret" in said, name
        assert_clean("said", said)
    assert_clean_lake(lake)
    assert lake.check().ok


def test_content_that_was_given_as_content_stays(lake: lf.Lake) -> None:
    config = {"password": "hunter2", "url": "https://u:hunter2@h"}
    lake.folio("f").add("config", config).add("text", "ghp_0123456789012345678901234567890123456789")
    assert lake.folio("f").get("config") == config


def test_errors_of_runs(lake: lf.Lake) -> None:
    def fails(text: str) -> None:
        with lake.run("a"):
            raise RuntimeError(text)

    @lake.capture
    def captured(name: str) -> None:
        try:
            raise KeyError(ERRORS[name])
        except KeyError as exc:
            raise ValueError("outer") from exc

    for name, text in ERRORS.items():
        with pytest.raises(RuntimeError):
            fails(text)
        with pytest.raises(ValueError, match="outer"):
            captured(name)
        lake.run("c").fail(text)
    assert [run.status for run in lake.runs()] == ["failed"] * 3 * len(ERRORS)
    assert_clean_lake(lake)


def test_a_traceback_shows_no_secret_of_the_source(lake: lf.Lake, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import lakefolio as lf\nlake = lf.open({lake.uri!r})\n"
        "def connect(**options): raise OSError('refused')\n"
        f"with lake.run('x'):\n    connect(host='h', password='{S()}', auth=('ada', '{S()}'), api_key=\"{S()}\")\n"
    )
    subprocess.run([sys.executable, script], capture_output=True, check=False)
    (run,) = lake.runs()
    assert "connect(host='h', password='***'" in run.error
    assert_clean_lake(lake)


ADDRESSES = {
    "userinfo": S("https://ada:{}@127.0.0.1:1/x.csv"),
    "a token": S("https://{}@127.0.0.1:1/x.csv"),
    "signed by AWS": S("http://127.0.0.1:1/x.csv?X-Amz-Credential=a&X-Amz-Signature={}&X-Amz-Expires=60"),
    "a SAS": S("http://127.0.0.1:1/x.csv?sv=2020&se=2030&sp=r&sig={}"),
    "a query": S("http://127.0.0.1:1/x.csv?access_token={}"),
    "keys of S3": S("s3://AKIA0123456789ABCDEF:{}@bucket/x.csv"),
    "a query of S3": S("s3://bucket/x.csv?token={}"),
    "a query of Azure": S("az://container/x.csv?sig={}"),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(lake: lf.Lake, tmp_path: Path, monkeypatch, address: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    uri = ADDRESSES[address]
    folio = lake.folio("f").add("a", 1)
    said = [
        said_by(lambda: lf.open(uri)),
        said_by(lambda: lf.open(uri, create=False, read_only=True)),
        said_by(lambda: lf.Folio(uri)),
        said_by(lambda: folio.reference_table("t", uri)),
        said_by(lambda: folio.import_table("u", uri)),
        said_by(lambda: folio.add("b", 1, inputs=[uri])),
        said_by(lambda: lake.create_run("r", inputs={"data": uri})),
        said_by(lambda: lake.create_run("r").add_input("data", uri)),
        said_by(lambda: lake.lineage("f:b").to_mermaid()),
        said_by(lambda: lake.lineage("f:b").to_openlineage()),
        said_by(lambda: lake.get(uri)),
        said_by(lambda: lake.add_run_input("nobody", "x", uri)),
    ]
    words_of = (["--lake", uri, "ls"], ["init", uri], ["add", "f:c", uri], ["--lake", uri, "config"], ["doctor", uri])
    for words in words_of:
        result = CliRunner().invoke(cli, words)
        said.append(result.output + repr(result.exception))
    assert_clean("said", "\n".join(said))
    assert_clean_lake(lake)


def test_an_address_is_recorded_without_what_signs_it(lake: lf.Lake) -> None:
    signed = S("https://h/x.csv?versionId=3&X-Amz-Credential=a&X-Amz-Signature={}&X-Amz-Date=1")
    lake.folio("f").add("b", 1, inputs=[signed])
    assert lake.folio("f").get_inputs("b") == ["https://h/x.csv?versionId=3"]
    assert scrub_address(signed) == "https://h/x.csv?versionId=3"


def test_a_signed_reference_is_refused(lake: lf.Lake) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.folio("f").reference_table("t", S("https://h/x.csv?X-Amz-Signature={}"))
    assert caught.value.kind == "secret-in-address"
    assert lake.folios() == []


OPTIONS = {
    "unknown": {"aws_acces_key": S(), "key": "k"},
    "missing": {"aws_access_key_id": "k", "endpoint": S("http://u:{}@127.0.0.1:1")},
    "conflicting": {"aws_secret_access_key": S(), "secret": S()},
    "odd": {"aws_access_key_id": "k", "aws_secret_access_key": S("{}\n")},
    "odd token": {"key": "k", "secret": S(), "token": S("{}\x00")},
    "retries": {"key": "k", "secret": S(), "max_retries": S()},
    "proxy": {"key": "k", "secret": S(), "proxy_url": S("http://u:{}@127.0.0.1:1"), "max_retries": "0"},
    "unreachable": {"key": "k", "secret": S(), "endpoint": "http://127.0.0.1:1", "max_retries": "0", "token": S()},
    "not a URL": {"key": "k", "secret": S(), "endpoint": S("{}")},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_storage_options(name: str, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    options = OPTIONS[name]
    said = said_by(lambda: lf.open("s3://bucket/lake", storage_options=options))
    assert_clean("said", said + caplog.text)


def test_options_of_a_lake_are_not_shown(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake", storage_options={"aws_secret_access_key": S(), "fsync": False})
    assert_clean("repr", repr(lake) + repr(vars(lake)) + repr(session_of(lake).store) + str(lake.info()))
    assert_clean_lake(lake)


CONFIGS = [
    S('lake = "s3://AKIA0123456789ABCDEF:{}@bucket/x"\n'),
    S('lake = "https://h/x?sig={}"\n'),
    S('[storage_options]\naws_secret_access_key = "{}"\nendpoint = "http://x"\n'),
    S('[storage_options]\nendpoint = "http://u:{}@x"\npassword = "{}"\n'),
    S('[storage_options]\ntoken = ["{}"]\n'),
    S('storage_options = "token={}"\n'),
    S('lake = ["s3://a:{}@b"]\n'),
    S('author = "https://u:{}@h"\nfsync = "password={}"\n'),
    S('password = "{}"\n'),
    S('[storage_options]\nsecret = "{}\n'),
]


@pytest.mark.parametrize("text", CONFIGS)
def test_configuration_files(tmp_path: Path, monkeypatch, text: str) -> None:
    (tmp_path / "lakefolio.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    said = [said_by(lambda: lf.open())]
    said += [said_by(lambda name=name: (found(name), found(name).shown)) for name in KEYS]
    for words in (["config"], ["--json", "config"], ["config", "trust"], ["config"], ["ls"], ["config", "untrust"]):
        result = CliRunner().invoke(cli, words)
        said.append(result.output + repr(result.exception))
    assert_clean("said", "\n".join(said))


def test_environments_and_remotes(lake: lf.Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text(
        S("--index-url https://ada:{}@pypi.example/simple\n")
        + S("--extra-index-url https://{}@pypi.example/simple\n")
        + S("x @ git+https://{}@github.com/a/x.git@main\n")
        + S("y @ https://h/y.whl?token={}\n")
        + "numpy==2.0 --hash=sha256:0123456789abcdef\n"
    )
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", S("https://ada:{}@h/x.git")], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    provenance._git.clear()
    with lake.run("x"):
        pass
    lake.folio("f").add("x", 1).create_snapshot("s", capture_environment=True, capture_execution=True)
    info = lake.folio("f").get_snapshot_info("s")
    assert "numpy==2.0 --hash=sha256:0123456789abcdef" in info["environment"]["requirements"]
    assert (info["git"]["remote"], lake.runs()[0].git_remote) == ("https://h/x.git",) * 2
    assert_clean_lake(lake)


def test_names_that_hold_secrets() -> None:
    secret = """password token api_key apiKey APIKey OPENAI_API_KEY aws_secret_access_key private_key client-secret
        hf_token PGPASSWORD dbpassword sas_token SharedAccessKey x-api-key auth credentials cookie passwd new_password
        authorization_header smtp_pass bearer access_token refreshToken encryption_key
        wandb-key openaiKey HF_KEY azure_key"""
    assert [name for name in secret.split() if not is_secret_name(name)] == []
    plain = """max_tokens token_count tokenizer key sort_key primary_key password_file author authority key_id
        public_key pad_token eos_token first_pass keys n secret_name access_key_id cache_key signature passwordless
        object_key s3_key"""
    assert [name for name in plain.split() if is_secret_name(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token: foo at line 3",
        "abfss://container@account.dfs.core.windows.net/x",
        "ssh://git@github.com/x.git",
        "git@github.com:a/b.git",
        "http://127.0.0.1:9000/bucket/key@v1",
        "s3://bucket/prefix/key=1/part=2",
        "environment variable X is 'y', expected a number",
        "def f(password: str, token: Optional[str] = None):",
        "0123456789abcdef0123456789abcdef01234567",
        "/data/Experiment1/ResultsFolderABC/Model22",
        "https://h/x?page=2&key=abc",
        "postgresql://alice@host/db",
        "Basic training of the model",
        "pad_token=<pad>",
        "docker run -u 1000:1000 --network host curlimages/curl http://h",
        "git push -u origin main:main",
        "AccountName=x;AccountKey=",
        "tokens=['a', 'b']",
        "did you mean 'secret' or 'token'?",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text
    assert scrub_value({"a": [text]}) == {"a": [text]}


def test_values_without_a_secret_are_the_same_objects() -> None:
    value = {"a": [1, "b", {"c": (2, None)}], "max_tokens": 3}
    assert scrub_value(value) is value
    assert scrub_value({"password": 5, "token": None, "secret": True}) == {"password": 5, "token": None, "secret": True}
    assert json.loads(json.dumps(scrub_value({"a": {"token": "x"}, "b": 1}))) == {"a": {"token": "***"}, "b": 1}


LONG = ["http://" * 3000, "a+://" * 4000, "password='" * 2000, '"a":' * 5000, "--a " * 5000, "eyJ" + "a." * 9000]


@pytest.mark.parametrize("text", [*LONG, "a" * 20000])
def test_long_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    scrub(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "code",
    [
        "!mysql -u root -phunter2x",
        "found = !curl -u bob:hunter2x https://example.org/",
        "%%bash\nls\ndocker login -u bob -p hunter2x\n\n",
        "%env DB_PASSWORD hunter2x",
        "%set_env DB_PASSWORD hunter2x",
        "os.putenv('DB_PASSWORD', 'hunter2x')",
        'monkeypatch.setenv("DB_PASSWORD", "hunter2x")',
        'os.environ.setdefault("DB_PASSWORD", "hunter2x")',
        'password = os.getenv("DB_PASSWORD", "hunter2x")',
        'setattr(config, "password", "hunter2x")',
        'PASSWORD = (\n    "hunter2x"\n)\n',
        'PASSWORD = \\\n    "hunter2x"\n',
        'SECRETS = {\n    "db": "hunter2x",\n}\n',
    ],
)
def test_code_of_cells(code: str) -> None:
    found = scrub_code(f"# %% [1]\n{code}\n\n# %% [2]\nuser = 'ada'\n")
    assert "hunter2x" not in found
    assert found.endswith("# %% [2]\nuser = 'ada'\n")
    assert scrub_code(found) == found


@pytest.mark.parametrize(
    "code",
    [
        "!pip install -U pandas && ls -la",
        "files = !ls -p",
        "%env OMP_NUM_THREADS 4",
        'df.get("name", "Bob")',
        'df[["token", "text"]]',
        'tokens = [\n    "a",\n]\n',
        "if x != y:\n    pass\n",
    ],
)
def test_code_without_a_secret_stays(code: str) -> None:
    assert scrub_code(code) == code


def test_code_that_is_too_long_is_cut_without_parting_a_secret_from_its_name(monkeypatch, tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text('DB_PASSWORD = "hunter2x"\n' + "x = 1\n" * 166_665)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    assert "hunter2x" not in str(code_so_far())


@pytest.mark.parametrize(
    "code",
    [
        'connect("postgres://me:hunter2@host/db")',
        'login("hunter2hunter2")',
        'hub.login("me", "hunter2")',
        'smtp.login(user, "hunter2")',
        'login(\n    "me",\n    "hunter2",\n)',
        'tracker.login(key="hunter2")',
        'pymysql.connect("localhost", "root", "hunter2", "db")',
        "connect(host, user, b'hunter2')",
        'ftplib.FTP("host", "me", "hunter2")',
        'SecretStr("hunter2")',
        'AzureKeyCredential("hunter2")',
        'keyring.set_password("service", "me", "hunter2")',
        'client.authenticate(f"{user}", f"hunter2")',
    ],
)
def test_a_secret_given_by_place_is_taken_out_of_code_and_tracebacks(code: str) -> None:
    for text in (code, f"x = {code}\n", f'  File "t.py", line 3, in <module>\n    {code}\nValueError: no'):
        for shown in (scrub_code(text), scrub(text)):
            assert "hunter2" not in shown
            assert "***" in shown
            assert scrub_code(shown) == shown


@pytest.mark.parametrize(
    "code",
    [
        'getpass("Password: ")',
        'login(os.environ["HF_TOKEN"])',
        'login("ada")',
        'get_token("name-of-it-123")',
        'duckdb.connect("experiment2024")',
        'sqlite3.connect("data/experiment_2024_run_12.db")',
        'connect("host", 5432, "db")',
        'tokenizer("a text of 12 words")',
        'plot("login", "hunter2")',
        "def login(user, name='x'): pass",
    ],
)
def test_calls_without_secrets_stay_as_they_are(code: str) -> None:
    assert scrub_code(code) == scrub(code) == code


def test_searches_and_record_tables_record_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_SEARCH_LOG", "1")
    planted = [f"Hushed{number}hush" for number in range(5)]
    lake = lf.open(tmp_path / "lake")
    column = {"type": "int64", "description": f"of https://u:{planted[0]}@host/x"}
    table = lake.folio("f").create_table("t", {"id": column}, key="id")
    table.append([{"id": 1}])
    with pytest.warns(UserWarning, match="reason seems to hold a secret"):
        table.add_column("more", "string", reason=f"see https://u:{planted[1]}@host/y")
    for check in (f"more <> 'https://u:{planted[4]}@host/y'", f"more = 'password={planted[4]}'"):
        with pytest.raises(lf.InvalidInputError, match="check 'c' seems to hold a secret") as refused:
            table.add_check("c", check)
        assert planted[4] not in repr(refused.value) + str(vars(refused.value))
        with pytest.raises(lf.InvalidInputError, match="check 'c' seems to hold a secret"):
            lake.folio("f").create_table("u", {"more": "string"}, checks={"c": check})
    table.add_check("filled", "more IS NULL OR more <> ''")
    found = lake.search(f"password={planted[2]}")
    assert not found.refs
    with pytest.raises(lf.InvalidInputError, match="can't be read: it holds what seems to be a secret") as caught:
        lake.search(f"https://u:{planted[3]}@host/z")
    assert planted[3] not in repr(caught.value) + str(vars(caught.value))
    assert "password=***" in str(lake.searches())
    lake.compact()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "lake").rglob("*") if path.is_file())
    rows = "".join(str(pq.read_table(path).to_pylist()) for path in (tmp_path / "lake").rglob("*.parquet"))
    assert not [secret for secret in planted if secret in rows or secret.encode() in stored]
    assert "***" in rows


def test_the_objects_of_an_error_hold_no_secret(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    secret = S()
    for text in (f"select * from t where password = '{secret}'", f"attach 'postgres://u:{secret}@host/db'"):
        with pytest.raises(lf.LakefolioError) as failed:
            lake.sql(text)
        assert secret not in repr(failed.value.objects) + str(failed.value)
        assert failed.value.objects["sql"].startswith(text[:6])
    with pytest.raises(lf.LakefolioError) as failed:
        lake.search(f'token="{secret}" (')
    assert secret not in repr(failed.value.objects)
    error = lf.LakefolioError("m", names=[f"https://u:{secret}@host", 3], item="token=abc")
    assert secret not in repr(error.objects)
    assert error.objects["item"] == "token=abc"
