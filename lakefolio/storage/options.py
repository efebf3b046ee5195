"""Options of stores as users write them, each normalised to one name (pure: no I/O).

Options are named as deltalake, object_store and AWS users know them, in any case: ``AWS_ENDPOINT_URL``,
``aws_access_key_id``, ``region``, ``google_service_account``, ``azure_storage_account_name``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lakefolio.errors import InvalidInputError, nearest

__all__ = ["CLIENT", "RETRY", "for_delta", "normalise", "refuse_odd", "refuse_unsafe", "truthy"]

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
_AZURE_STORAGE: Final = ("account_name", "account_key", "client_id", "client_secret", "tenant_id", "sas_key", "token")


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


def for_delta(prefix: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return normalised options under the names by which deltalake knows them: with the vendor's ``prefix``."""
    general = CLIENT | RETRY
    renamed = {name: f"storage_{name}" for name in _AZURE_STORAGE} if prefix == "azure_" else {}
    return {name if name in general else prefix + renamed.get(name, name): value for name, value in options.items()}


def truthy(value: str | None) -> bool:
    """Say whether an option or environment variable is switched on."""
    return value is not None and value.strip().lower() in ("1", "true", "yes", "on", "y", "t")


def refuse_unsafe(options: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Refuse settings, known from old tutorials, that let two writers overwrite each other's commits.

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
    """Refuse values that no request can carry, such as a key read from a file with its final line break.

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
