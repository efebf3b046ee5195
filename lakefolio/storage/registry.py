"""Open the store of an address and its options."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore import store as vendor

from lakefolio.config.settings import default_fsync
from lakefolio.errors import InvalidInputError, LakefolioError, PlaceTakenError
from lakefolio.storage import aws
from lakefolio.storage.addresses import Location, check_host_part, parse_uri
from lakefolio.storage.errors import cause, is_vendor_error
from lakefolio.storage.local import LocalStore
from lakefolio.storage.object_store import RemoteStore
from lakefolio.storage.options import CLIENT, RETRY, normalise, refuse_odd, refuse_unsafe, truthy
from lakefolio.storage.store import Store

__all__ = ["open_store", "resolve_uri"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|)\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0}

# A refused connection is given up after about 3 seconds, an unreachable host after 20; a stalled answer is noticed
# after 30, however long a transfer that moves may take (obstore's own limit is 30 seconds for a whole request).
_CLIENT_DEFAULTS = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "2h"}
_RETRIES = 6
_RETRY_TIMEOUT_S = 15.0

_AZURE_STORAGE = ("account_name", "account_key", "client_id", "client_secret", "tenant_id", "sas_key", "token")

_memories: dict[str, vendor.MemoryStore] = {}
_memories_lock = threading.Lock()


def open_store(uri: str | Path, storage_options: Mapping[str, object] | None = None) -> Store:
    """Open the place of a lake. Makes no request and no folder; a wrong address shows with the first use.

    Args:
        uri: A local path (relative ones and ``~`` are resolved), or file://, s3://, gs://, az://, abfss:// or memory://;
            handles on one memory:// address in one process share their objects.
        storage_options: Named as deltalake and AWS users name them, in any case; they win over the environment
            (AWS_*, GOOGLE_*, AZURE_*), which wins over AWS profiles. Local folders know ``fsync``,
            by default LAKEFOLIO_FSYNC or ``fsync`` of a configuration file: whether a write returns only when the
            disk has it.

    Raises:
        InvalidInputError: kind ``bad-uri``, ``unknown-option``, ``bad-option``, ``conflicting-options``,
            ``unsafe-option`` (settings that let concurrent writers lose commits), ``unknown-profile``.
        PlaceTakenError: kind ``not-a-directory``, if a file lies at a local path.
        StorageError: kind ``unauthenticated``, if there are no AWS credentials at all.
    """
    location = parse_uri(uri)
    options = normalise(storage_options, location.scheme)
    refuse_unsafe(options, os.environ)
    refuse_odd(options, os.environ, location.scheme)
    if location.scheme == "file" and os.path.exists(location.prefix) and not os.path.isdir(location.prefix):
        raise PlaceTakenError(
            f"{location.prefix!r} is a file, not the folder of a lake",
            kind="not-a-directory",
            hint="give another path",
            uri=location.uri,
        )
    return _open(location, options)


def resolve_uri(uri: str | Path, storage_options: Mapping[str, object] | None = None) -> tuple[Store, str]:
    """Return the store and the key of any readable object: s3, gs, az, http(s), memory or a local path.

    Stores are kept for the life of the process, one for each bucket, host and set of options. A final slash of the
    address is kept in the key, which then is a prefix to list.

    Args:
        uri: The address of the object; it may hold a query (a presigned URL), which is never shown.
        storage_options: Used where they fit the kind of store, ignored where they don't.

    Raises:
        InvalidInputError: kind ``bad-uri``.
    """
    slash = "/" if str(uri).endswith("/") else ""
    location = parse_uri(uri, objects=True)
    options = normalise(storage_options, location.scheme, lenient=True)
    if location.scheme == "file":
        return _FILES, (location.prefix.lstrip("/") + slash).lstrip("/")
    refuse_unsafe(options, os.environ)
    refuse_odd(options, os.environ, location.scheme)
    key = unquote(location.prefix) + slash if location.scheme == "http" else location.prefix.lstrip("/")
    root = Location(location.scheme, location.bucket, "", location.account, location.query)
    return _cached(root, tuple(sorted(options.items()))), key


_FILES = LocalStore(Path("/"), links=True)
"""The user's own files, where links are followed."""


@lru_cache(maxsize=64)
def _cached(location: Location, options: tuple[tuple[str, str], ...]) -> Store:
    return _open(location, dict(options))


def _open(location: Location, options: dict[str, str]) -> Store:
    if location.scheme == "file":
        fsync = truthy(options["fsync"]) if "fsync" in options else default_fsync()
        return LocalStore(Path(location.prefix), fsync=fsync)
    client, retry = _client_options(options), _retry_options(options)
    try:
        return _OPENERS[location.scheme](location, options, client, retry)
    except BaseException as exc:
        if not is_vendor_error(exc) or isinstance(exc, LakefolioError):
            raise
        raise InvalidInputError(
            f"{location.uri} can't be opened with these options",
            kind="bad-option",
            hint="check storage_options and the environment; the cause above tells what is wrong",
            uri=location.uri,
        ) from cause(exc)


def _client_options(options: Mapping[str, str]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if name in CLIENT}
    flags = {name: truthy(value) for name, value in given.items() if name.startswith(("allow_", "http", "randomize"))}
    return {**_CLIENT_DEFAULTS, **given, **flags}


def _retry_options(options: Mapping[str, str]) -> dict[str, Any]:
    text = options.get("max_retries", str(_RETRIES))
    if not text.isdigit():
        raise InvalidInputError("option max_retries is no number", kind="bad-option", option="max_retries")
    seconds = _seconds(options["retry_timeout"]) if "retry_timeout" in options else _RETRY_TIMEOUT_S
    return {
        "max_retries": int(text),
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            "option retry_timeout is no duration, such as '15s'",
            kind="bad-option",
            option="retry_timeout",
        )
    return float(match.group(1)) * _UNITS[match.group(2)]


def _for_delta(prefix: str, options: Mapping[str, str]) -> dict[str, str]:
    general = CLIENT | RETRY
    renamed = {name: f"storage_{name}" for name in _AZURE_STORAGE} if prefix == "azure_" else {}
    return {name if name in general else prefix + renamed.get(name, name): value for name, value in options.items()}


def _open_s3(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    rest = {name: value for name, value in options.items() if name not in CLIENT | RETRY}
    profile = rest.pop("profile", None)
    for name in ("s3_allow_unsafe_rename", "s3_locking_provider", "conditional_put"):
        rest.pop(name, None)
    settings = aws.ProfileSettings()
    if profile or os.environ.get("AWS_PROFILE") or aws.has_config_file():
        settings = aws.profile_settings(profile)
    region = (
        rest.pop("region", None)
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or settings.region
        or "us-east-1"
    )
    from_environment = next(
        (
            os.environ[name]
            for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
            if os.environ.get(name)
        ),
        None,
    )
    if truthy(os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")):
        from_environment = settings_endpoint = None
    else:
        settings_endpoint = settings.endpoint
    check_host_part("aws_region", region)
    endpoint = (rest.pop("endpoint", None) or from_environment or settings_endpoint or "").rstrip("/")
    if endpoint and not urlsplit(endpoint).netloc:
        raise InvalidInputError(
            "the endpoint is not a URL",
            kind="bad-option",
            hint="write it with http:// or https://",
            option="endpoint",
        )
    if "@" in endpoint:
        raise InvalidInputError(
            "the endpoint URL holds credentials",
            kind="bad-option",
            hint="give them as aws_access_key_id and aws_secret_access_key",
            option="endpoint",
        )
    virtual = _virtual_hosted(rest, settings.addressing_style, endpoint, location.bucket)
    if virtual and endpoint:
        # object_store wants the bucket in the endpoint then, AWS tools put it there themselves.
        parts = urlsplit(endpoint)
        if not parts.netloc.startswith(f"{location.bucket}."):
            endpoint = parts._replace(netloc=f"{location.bucket}.{parts.netloc}").geturl()
    if endpoint.startswith("http://"):
        client["allow_http"] = True
    provide = _aws_credentials(rest, profile)
    config: Any = {**rest, "region": region, "virtual_hosted_style_request": virtual}
    if endpoint:
        # Both, since AWS_ENDPOINT_URL_S3 of the environment would win over an explicit endpoint.
        config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    opened = vendor.S3Store(
        location.bucket,
        config=config,
        client_options=client,
        retry_config=retry,
        credential_provider=provide,
    )

    def delta_options() -> dict[str, str]:
        result = _for_delta("aws_", rest) | {
            "aws_region": region,
            "aws_virtual_hosted_style_request": str(virtual).lower(),
            "aws_conditional_put": "etag",
        }
        if endpoint:
            result |= {"aws_endpoint_url": endpoint, "aws_endpoint_url_s3": endpoint}
        if client.get("allow_http"):
            result["aws_allow_http"] = "true"
        if provide is not None:
            found = provide()
            result |= {
                "aws_access_key_id": found["access_key_id"],
                "aws_secret_access_key": found["secret_access_key"],
            }
            if found["token"]:
                result["aws_session_token"] = found["token"]
        return result | {name: options[name] for name in (CLIENT | RETRY) & options.keys()}

    return RemoteStore("s3", location.uri, opened, prefix=location.prefix, delta_options=delta_options, given=options)


def _virtual_hosted(rest: dict[str, str], of_profile: str | None, endpoint: str, bucket: str) -> bool:
    """Decide between bucket.host and host/bucket: as told, else by path on a custom endpoint, else by host on AWS."""
    flag = rest.pop("virtual_hosted_style_request", None)
    style = (rest.pop("addressing_style", None) or "auto").lower()
    if style not in ("path", "virtual", "auto"):
        raise InvalidInputError(
            f"option aws_s3_addressing_style is {style[:40]!r}, expected path, virtual or auto",
            kind="bad-option",
            option="addressing_style",
        )
    if flag is None:
        flag = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    if flag is not None:
        return truthy(flag)
    if style == "auto":
        style = of_profile or "auto"
    if style in ("path", "virtual"):
        return style == "virtual"
    return not endpoint and "." not in bucket  # TLS certificates of AWS don't cover buckets with dots


def _aws_credentials(rest: dict[str, str], profile: str | None) -> Callable[[], Any] | None:
    """Take the keys out of the options and return what provides credentials; None means unsigned requests.

    Always a provider: static keys given to obstore would be mixed with a session token of the environment.
    """
    key, secret = rest.pop("access_key_id", None), rest.pop("secret_access_key", None)
    token = rest.pop("session_token", None)
    if truthy(rest.get("skip_signature", os.environ.get("AWS_SKIP_SIGNATURE"))):
        rest["skip_signature"] = "true"
        return None
    if (key is None) != (secret is None):
        missing = "aws_secret_access_key" if secret is None else "aws_access_key_id"
        raise InvalidInputError(f"option {missing} is missing", kind="bad-option", option=missing)
    if key is None and not profile:
        key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        token = token or os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_SECURITY_TOKEN")
    if not key or not secret:
        return aws.credential_provider(profile)
    static = {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    return lambda: dict(static)


def _open_gs(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    config: Any = {name: value for name, value in options.items() if name not in CLIENT | RETRY}
    opened = vendor.GCSStore(location.bucket, config=config, client_options=client, retry_config=retry)
    return RemoteStore(
        "gs",
        location.uri,
        opened,
        prefix=location.prefix,
        delta_options=lambda: _for_delta("google_", options),
        given=options,
    )


def _open_az(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    account = location.account or options.get("account_name") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    emulated = truthy(options.get("use_emulator", os.environ.get("AZURE_STORAGE_USE_EMULATOR")))
    if not account and not emulated:
        raise InvalidInputError(
            f"{location.uri} does not say which storage account it belongs to",
            kind="bad-option",
            hint="set azure_storage_account_name in storage_options, or AZURE_STORAGE_ACCOUNT_NAME, "
            "or write abfss://container@account.dfs.core.windows.net/prefix",
            option="azure_storage_account_name",
        )
    if account:
        check_host_part("azure_storage_account_name", account)
    named = {**options, "account_name": account} if account else dict(options)
    config: Any = {name: value for name, value in named.items() if name not in CLIENT | RETRY}
    if emulated:
        client["allow_http"] = True
    opened = vendor.AzureStore(location.bucket, config=config, client_options=client, retry_config=retry)
    return RemoteStore(
        "az",
        location.uri,
        opened,
        prefix=location.prefix,
        delta_options=lambda: _for_delta("azure_", named),
        given=options,
    )


def _open_memory(location: Location, options: dict[str, str], client: object, retry: object) -> Store:
    with _memories_lock:
        opened = _memories.setdefault(location.bucket, vendor.MemoryStore())
    return RemoteStore("memory", location.uri, opened, prefix=location.prefix)


def _open_http(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    client["allow_http"] = location.bucket.startswith("http://")
    address = f"{location.bucket}?{location.query}" if location.query else location.bucket
    opened = vendor.HTTPStore(address, client_options=client, retry_config=retry)
    return RemoteStore("http", location.bucket, opened)


_OPENERS = {"s3": _open_s3, "gs": _open_gs, "az": _open_az, "memory": _open_memory, "http": _open_http}
