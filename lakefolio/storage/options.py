"""Addresses and options as users write them, made plain. Pure but for reading the environment.

Options are named as deltalake, object_store and AWS users know them, in any case: ``AWS_ENDPOINT_URL``,
``aws_access_key_id``, ``region``, ``google_service_account``, ``azure_storage_account_name``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.process.places import absolute_path, printable

__all__ = [
    "CLIENT",
    "RETRY",
    "Location",
    "check_host_part",
    "check_slashes",
    "normalise",
    "parse_uri",
    "refuse_odd",
    "refuse_unsafe",
    "truthy",
]

_SCHEMES: Final = {
    "file": "file",
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
    "adl": "az",
    "memory": "memory",
    "http": "http",
    "https": "http",
}
_ODD_SLASHES: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):((?!//(?!/))/*)(.*)", re.DOTALL)
_NO_WEB: Final = (
    "a lake lies in a folder or a bucket: write s3://bucket/prefix, and the address of an S3 server as "
    "storage_options={'aws_endpoint_url': 'https://…'} or AWS_ENDPOINT_URL"
)

CLIENT: Final = frozenset(
    [
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "timeout",
        "read_timeout",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "proxy_ca_certificate",
        "proxy_excludes",
        "root_certificate",
        "user_agent",
        "http1_only",
        "http2_only",
        "randomize_addresses",
        "default_content_type",
    ]
)
RETRY: Final = frozenset({"max_retries", "retry_timeout"})

_S3: Final = frozenset(
    [
        "access_key_id",
        "secret_access_key",
        "session_token",
        "region",
        "endpoint",
        "virtual_hosted_style_request",
        "addressing_style",
        "profile",
        "skip_signature",
        "checksum_algorithm",
        "disable_tagging",
        "disable_bulk_delete",
        "request_payer",
        "s3_express",
        "server_side_encryption",
        "sse_kms_key_id",
        "sse_bucket_key_enabled",
        "sse_customer_key_base64",
        "unsigned_payload",
        "conditional_put",
        "copy_if_not_exists",
        "s3_allow_unsafe_rename",
        "s3_locking_provider",
    ]
)
_S3_ALIASES: Final = {
    "token": "session_token",
    "default_region": "region",
    "endpoint_url": "endpoint",
    "endpoint_url_s3": "endpoint",
    "s3_addressing_style": "addressing_style",
    "virtual_hosted_style": "virtual_hosted_style_request",
    "key": "access_key_id",
    "secret": "secret_access_key",
    "bucket": "bucket",
    "bucket_name": "bucket",
}
_GS: Final = frozenset(
    [
        "service_account",
        "service_account_path",
        "service_account_key",
        "application_credentials",
        "base_url",
        "bearer_token",
        "skip_signature",
    ]
)
_AZ: Final = frozenset(
    [
        "account_name",
        "account_key",
        "access_key",
        "client_id",
        "client_secret",
        "tenant_id",
        "authority_id",
        "authority_host",
        "sas_key",
        "sas_token",
        "token",
        "use_emulator",
        "use_fabric_endpoint",
        "endpoint",
        "msi_endpoint",
        "object_id",
        "msi_resource_id",
        "federated_token_file",
        "use_azure_cli",
        "skip_signature",
        "disable_tagging",
        "credential_type",
    ]
)
_AZ_ALIASES: Final = {
    "access_key": "account_key",
    "sas_token": "sas_key",
    "authority_id": "tenant_id",
    "bearer_token": "token",
}
_FILE: Final = frozenset({"fsync"})

_KNOWN: Final = {
    "s3": (_S3, ("aws_",), _S3_ALIASES),
    "gs": (_GS, ("google_", "gcs_"), {"service_account_path": "service_account", "key": "service_account_key"}),
    "az": (_AZ, ("azure_storage_", "azure_"), _AZ_ALIASES),
}


_FREE: Final = frozenset(
    [
        "service_account",
        "service_account_key",
        "application_credentials",
        "federated_token_file",
        "root_certificate",
        "proxy_ca_certificate",
        "profile",
    ]
)
"""Options whose values are paths, names or texts of many lines."""

_ACCOUNT_HINT: Final = "write abfss://container@account.dfs.core.windows.net/prefix"
_HOST: Final = re.compile(r"[A-Za-z0-9_$.-]{1,255}")
"""Of what a bucket, account or region may consist: the client puts it into the name of a host as it is."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a URI points to.

    Attributes:
        scheme: ``file``, ``s3``, ``gs``, ``az``, ``memory`` or ``http``.
        bucket: The bucket, container or memory name; scheme and host for http; "" for files.
        prefix: The rest without slashes around it; the absolute path for files.
        account: The storage account, if the URI of an Azure container names it.
        query: What follows ``?`` in an http URL.
    """

    scheme: str
    bucket: str
    prefix: str
    account: str | None = None
    query: str = field(default="", repr=False)

    @property
    def uri(self) -> str:
        """The normalised address, without credentials."""
        if self.scheme == "file":
            return self.prefix
        root = self.bucket if self.scheme == "http" else f"{self.scheme}://{self.bucket}"
        return f"{root}/{self.prefix}" if self.prefix else root


def parse_uri(uri: str | Path, *, objects: bool = False) -> Location:
    """Take an address apart.

    Args:
        uri: A path (relative ones and ``~`` are resolved) or a URI.
        objects: Whether it names an object that is only read: http(s) is allowed, and keys may hold ``?``.

    Raises:
        InvalidInputError: kind ``bad-uri``; the message never repeats what may be a credential.
    """
    text = str(uri)
    scheme, separator, rest = text.partition("://")
    if not text or "\0" in text or "\n" in text:
        raise _bad(uri, "is empty" if not text else "holds control characters")
    check_slashes(text, objects=objects)
    if not separator:
        place = absolute_path(text)
        if printable(place) != place:
            raise _bad(printable(place), "is not UTF-8", "rename the folder, or choose another")
        return Location("file", "", place)
    known = _SCHEMES.get(scheme.lower())
    if known is None or (known == "http" and not objects):
        shown = [f"{name}://" for name in _SCHEMES if _SCHEMES[name] != "http" or objects]
        hint = nearest(f"{scheme}://", shown) if known is None else _NO_WEB
        raise _bad(f"{scheme}://", "is of a kind that is not supported", hint)
    if known == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise _bad(text, "names another host", "write file:///path or a plain path")
        return Location("file", "", os.path.abspath("/" + unquote(path)))
    rest, mark, query = rest.partition("?") if known == "http" or not objects else (rest, "", "")
    if mark and known != "http":
        raise _bad(f"{scheme}://…?…", "holds a query", "give credentials as storage_options, not in the address")
    bucket, _, prefix = rest.partition("/")
    account = None
    if "@" in bucket:
        before, _, host = bucket.rpartition("@")
        if known != "az" or ":" in before:
            raise _bad(f"{scheme}://…@…", "holds credentials", "give them as storage_options or in the environment")
        if not _HOST.fullmatch(host):
            raise _bad(f"{scheme}://{before}@…", "names an account that can't be", _ACCOUNT_HINT)
        bucket, account = before, host.partition(".")[0]
    if known != "memory" and not bucket:
        raise _bad(text, "names no bucket", f"write {scheme.lower()}://bucket/prefix")
    if known in ("s3", "gs", "az") and not _HOST.fullmatch(bucket):
        raise _bad(f"{scheme}://{bucket}", "names a bucket that can't be", "use letters, digits, '-', '_' and '.'")
    segments = prefix.split("/")
    if ".." in segments or "." in segments:
        raise _bad(text.partition("?")[0], "climbs out of its prefix", "write it without . and ..")
    if known == "http":
        return Location("http", f"{scheme.lower()}://{bucket}", prefix.strip("/"), query=query)
    if objects:
        return Location(known, bucket, prefix, account)
    return Location(known, bucket, "/".join(part for part in segments if part), account)


def check_slashes(text: str, *, objects: bool = False) -> None:
    """Refuse an address whose scheme is not followed by two slashes; it would be taken for a local path.

    ``Path("s3://bucket/x")`` is one: a Path drops a slash.

    Raises:
        InvalidInputError: kind ``bad-uri``; the hint is the address as it is written right.
    """
    match = _ODD_SLASHES.fullmatch(text)
    known = match and _SCHEMES.get(match[1].lower())
    if match is None or known is None or (known == "file" and match[2].startswith("//")):
        return
    scheme, slashes, rest = match.groups()
    if known == "memory" and len(slashes) == 3:
        return
    right = f"{scheme.lower()}:{'///' if known == 'file' else '//'}{rest or 'bucket/prefix'}"
    hint = _NO_WEB if known == "http" and not objects else f"write {right!r}, as a text: a Path drops a slash"
    shown = f"{scheme}:{slashes}…" if "@" in rest or "?" in rest else text
    count = {0: "no slash", 1: "one slash"}.get(len(slashes), "too many slashes")
    raise _bad(shown, f"has {count} after {scheme + ':'!r}", hint)


def _bad(uri: str | Path, what: str, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(f"address {str(uri)[:200]!r} {what}", kind="bad-uri", hint=hint, uri=str(uri)[:200])


def normalise(options: Mapping[str, object] | None, scheme: str, *, lenient: bool = False) -> dict[str, str]:
    """Return options under one name each: lower case, without the vendor's prefix, values as text.

    Options of other kinds of stores may be given too, so that one set serves many lakes; None values are left out.

    Args:
        options: As the user wrote them.
        scheme: The kind of store they are for.
        lenient: Leave out what is not known instead of refusing it.

    Raises:
        InvalidInputError: kind ``unknown-option``, naming the nearest that exists; kind ``conflicting-options``, if one
            is given twice with different values.
    """
    result: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in (options or {}).items():
        canonical = _canonical(str(name), scheme)
        if canonical is None:
            if lenient or any(_canonical(str(name), other) for other in (*_KNOWN, "file")):
                continue
            raise InvalidInputError(
                f"option {str(name)[:80]!r} is not known for {scheme} stores",
                kind="unknown-option",
                hint=nearest(str(name).lower(), _spellings(scheme)),
                option=str(name),
            )
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if result.get(canonical, text) != text:
            raise InvalidInputError(
                f"options {spelled[canonical]!r} and {name!r} mean the same but have different values",
                kind="conflicting-options",
                hint="give one of them",
                option=str(name),
            )
        result[canonical], spelled[canonical] = text, str(name)
    return result


def _canonical(name: str, scheme: str) -> str | None:
    plain = name.strip().lower()
    if scheme not in _KNOWN:
        allowed = _FILE if scheme == "file" else CLIENT | RETRY if scheme == "http" else frozenset[str]()
        return plain if plain in allowed else None
    own, prefixes, aliases = _KNOWN[scheme]
    for prefix in prefixes:
        if plain.startswith(prefix):
            plain = plain.removeprefix(prefix)
            break
    plain = aliases.get(plain, plain)
    if plain == "bucket":
        return None
    return plain if plain in own or plain in CLIENT or plain in RETRY else None


def _spellings(scheme: str) -> set[str]:
    if scheme not in _KNOWN:
        return set(_FILE if scheme == "file" else CLIENT | RETRY)
    own, prefixes, aliases = _KNOWN[scheme]
    names = own | (aliases.keys() - {"key", "secret", "bucket", "bucket_name"})
    return {prefixes[-1] + name for name in names} | set(names) | CLIENT | RETRY


def truthy(value: str | None) -> bool:
    """Say whether an option or environment variable is switched on."""
    return value is not None and value.strip().lower() in ("1", "true", "yes", "on", "y", "t")


def refuse_unsafe(options: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Refuse settings of old tutorials that let two writers overwrite each other's commits.

    Raises:
        InvalidInputError: kind ``unsafe-option``.
    """
    for name, canonical in (
        ("AWS_S3_ALLOW_UNSAFE_RENAME", "s3_allow_unsafe_rename"),
        ("AWS_S3_LOCKING_PROVIDER", "s3_locking_provider"),
        ("AWS_CONDITIONAL_PUT", "conditional_put"),
    ):
        value = options.get(canonical, environment.get(name))
        harmless = {"", "0", "false", "no", "off", "none"} if canonical != "conditional_put" else {"", "etag"}
        if value is not None and value.strip().lower() not in harmless:
            raise InvalidInputError(
                f"{name} is set, which lets concurrent writers lose commits",
                kind="unsafe-option",
                hint="remove it from the environment and storage_options; lakefolio needs no lock",
                option=name,
            )


def refuse_odd(options: Mapping[str, str], environment: Mapping[str, str], scheme: str) -> None:
    """Refuse values that no request can carry, as a key read from a file with its final line break.

    Raises:
        InvalidInputError: kind ``bad-option``, naming the option or the environment variable, never its value.
    """
    given = [(f"option {name!r}", name, value) for name, value in options.items()]
    for variable, value in environment.items() if scheme in _KNOWN else ():
        if variable.lower().startswith(_KNOWN[scheme][1]) and (name := _canonical(variable, scheme)) is not None:
            given.append((f"environment variable {variable}", name, value))
    for said, name, value in given:
        wrong = None if name in _FREE else _oddity(value)
        if wrong is not None:
            raise InvalidInputError(f"{said} {wrong}", kind="bad-option", hint="set it again without that", option=name)


def _oddity(value: str) -> str | None:
    for end, place in ((value[-1:], "ends"), (value[:1], "begins")):
        if end.isspace():
            return f"{place} with a {'space' if end == ' ' else 'line break'}"
    if value.isascii() and value.isprintable():
        return None
    return "holds control characters" if value.isascii() else "holds characters that are not ASCII"


def check_host_part(option: str, value: str) -> None:
    """Refuse a region or account that would lead requests to another host.

    Raises:
        InvalidInputError: kind ``bad-option``.
    """
    if not _HOST.fullmatch(value):
        raise InvalidInputError(
            f"option {option} is {value[:60]!r}, which is no name of a region or account",
            kind="bad-option",
            hint="use letters, digits and '-'",
            option=option,
        )


def same_bucket(uri: str, other: str) -> bool:
    """Say whether two addresses lie in one bucket, container or memory; local files and web servers never do."""
    try:
        one, two = parse_uri(uri, objects=True), parse_uri(other)
    except InvalidInputError:
        return False
    if one.scheme in ("file", "http"):
        return False
    return (one.scheme, one.bucket, one.account) == (two.scheme, two.bucket, two.account)
