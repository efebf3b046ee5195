"""Credentials and settings of AWS users: profiles, SSO, processes, roles. The only module that imports boto3.

boto3 is imported when it is first needed: never for a lake whose keys lie in the environment or in the options.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from lakefolio.errors import InvalidInputError, StorageError, nearest
from lakefolio.storage.store import ObjectInfo

__all__ = [
    "Credentials",
    "ProfileSettings",
    "bucket_versioning",
    "client",
    "credential_provider",
    "discard_uploads",
    "has_config_file",
    "lifecycle_rules",
    "objects_of",
    "profile_settings",
]

_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects can't be read before they are restored (GLACIER_IR is read at once)."""

Credentials = dict[str, Any]
"""``access_key_id``, ``secret_access_key``, ``token`` (or None) and ``expires_at`` (or None)."""

_OF_CLIENTS = {
    "aws_access_key_id",
    "aws_endpoint_url",
    "aws_region",
    "aws_secret_access_key",
    "aws_session_token",
}

_LIFETIME = timedelta(minutes=4)
"""How long given credentials are used before boto3 is asked again, which refreshes them in time."""


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """The S3 settings of a profile of ``~/.aws/config``; None for a setting that the profile lacks."""

    region: str | None = None
    endpoint: str | None = None
    addressing_style: str | None = None


def has_config_file() -> bool:
    """Say whether an AWS configuration file exists."""
    places = (
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    return any(os.path.isfile(os.path.expanduser(place)) for place in places)


def _session(profile: str | None) -> Any:
    import boto3
    import botocore.session
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    try:
        return boto3.Session(profile_name=profile)
    except ProfileNotFound as exc:
        name = profile or os.environ.get("AWS_PROFILE") or "default"
        known = botocore.session.Session().available_profiles
        raise InvalidInputError(
            f"AWS profile {name!r} does not exist",
            kind="unknown-profile",
            hint=nearest(name, known) or "check AWS_PROFILE, AWS_CONFIG_FILE and ~/.aws/config",
            profile=name,
        ) from exc
    except BotoCoreError as exc:
        raise _bad_config(exc) from exc


def _bad_config(error: Exception) -> InvalidInputError:
    return InvalidInputError(f"the AWS configuration can't be read: {_one_line(error)}", kind="bad-aws-config")


def profile_settings(profile: str | None = None) -> ProfileSettings:
    """Return region, endpoint and addressing style of a profile, as the AWS tools read them.

    Args:
        profile: Its name; None is AWS_PROFILE or the default.

    Raises:
        InvalidInputError: kind ``unknown-profile``, naming the nearest.
    """
    from botocore.exceptions import BotoCoreError

    core = _session(profile)._session
    try:
        scoped: Mapping[str, Any] = core.get_scoped_config()
        services: Mapping[str, Any] = core.full_config.get("services", {})
    except BotoCoreError as exc:
        raise _bad_config(exc) from exc
    own = scoped.get("s3")
    own = own if isinstance(own, Mapping) else {}
    of_service = services.get(str(scoped.get("services")), {}).get("s3", {})
    of_service = of_service if isinstance(of_service, Mapping) else {}
    endpoint = of_service.get("endpoint_url") or scoped.get("endpoint_url")
    if str(scoped.get("ignore_configured_endpoint_urls", "")).lower() == "true":
        endpoint = None
    return ProfileSettings(scoped.get("region"), endpoint, own.get("addressing_style"))


def credential_provider(profile: str | None = None) -> Callable[[], Credentials]:
    """Return a function that gives credentials valid for some minutes, refreshed by boto3 when they expire.

    Looks where the AWS tools look: the profile (keys, SSO, ``credential_process``, assumed roles), web identity,
    container and instance roles.

    Raises:
        StorageError: kind ``unauthenticated``, at once if there are no credentials or they can't be had (an SSO
            login that expired), later from the function if they can't be refreshed.
    """
    from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError

    session = _session(profile)

    def failed(exc: Exception) -> StorageError:
        half = isinstance(exc, PartialCredentialsError)
        return StorageError(
            f"AWS credentials of {_named(profile)} can't be had: {_one_line(exc)}",
            kind="unauthenticated",
            hint="set both the key and its secret" if half else "log in again (aws sso login), or check the profile",
        )

    try:
        found = session.get_credentials()
    except (BotoCoreError, ClientError) as exc:
        raise failed(exc) from exc
    if found is None:
        raise StorageError(
            f"no AWS credentials were found for {_named(profile)}",
            kind="unauthenticated",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws sso login`; "
            "for a public bucket set aws_skip_signature=true in storage_options",
        )

    def provide() -> Credentials:
        try:
            frozen = found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as exc:
            raise failed(exc) from exc
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _LIFETIME,
        }

    provide()
    return provide


def _named(profile: str | None) -> str:
    name = profile or os.environ.get("AWS_PROFILE")
    return f"profile {name!r}" if name else "the default profile"


def _one_line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200]


def discard_uploads(
    bucket: str, prefix: str, options: Mapping[str, str], before: datetime, *, dry_run: bool = False
) -> int:
    """Abort multipart uploads below a prefix that were begun before a time, and say how many there were.

    Raises:
        StorageError: kind ``aws-refused``, if uploads can't be listed or aborted.
    """
    with _asked(f"list the unfinished uploads of bucket {bucket!r}"):
        s3 = client("s3", options)
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
        found = [
            upload
            for page in pages
            for upload in page.get("Uploads", ())
            if upload["Key"].startswith(prefix) and upload["Initiated"] < before
        ]
        for upload in () if dry_run else found:
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(found)


def objects_of(bucket: str, prefix: str, options: Mapping[str, str]) -> Iterator[ObjectInfo]:
    """Yield the objects below a prefix, under their whole keys, with the archive that they lie in.

    Raises:
        StorageError: kind ``aws-refused``, if they can't be listed.
    """
    with _asked(f"list bucket {bucket!r}"):
        pages = client("s3", options).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix, OptionalObjectAttributes=["RestoreStatus"]):
            for one in page.get("Contents", ()):
                restored = one.get("RestoreStatus", {}).get("RestoreExpiryDate") is not None
                kind = one.get("StorageClass")
                archive = kind if kind in _ARCHIVES and not restored else None
                yield ObjectInfo(one["Key"], one["Size"], one["ETag"], one["LastModified"], archive=archive)


def bucket_versioning(bucket: str, options: Mapping[str, str]) -> bool:
    """Say whether a bucket keeps old versions of objects (StorageError of kind ``aws-refused`` if AWS won't tell)."""
    with _asked(f"ask for the versioning of bucket {bucket!r}"):
        return bool(client("s3", options).get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")


def lifecycle_rules(bucket: str, options: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the enabled lifecycle rules of a bucket (StorageError of kind ``aws-refused`` if AWS won't tell)."""
    with _asked(f"ask for the lifecycle rules of bucket {bucket!r}", silent="NoSuchLifecycleConfiguration"):
        rules = client("s3", options).get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
        return [rule for rule in rules if rule.get("Status") == "Enabled"]
    return []


@contextmanager
def _asked(what: str, *, silent: str = "") -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        if silent and exc.response.get("Error", {}).get("Code") == silent:
            return
        raise StorageError(f"could not {what}: {_one_line(exc)}", kind="aws-refused") from exc
    except BotoCoreError as exc:
        raise StorageError(f"could not {what}: {_one_line(exc)}", kind="aws-refused") from exc


def client(service: str, options: Mapping[str, str], *, attempts: int = 3) -> Any:
    """Return a boto3 client of an AWS service, for operations that object stores do not have in common.

    Args:
        service: ``s3`` (buckets, versioning, lifecycle), ``sts``, …
        options: As :meth:`lakefolio.storage.Store.options_for_delta` gives them.
        attempts: How often a request is made before what passes is taken for what stays.
    """
    used = tuple((name, options[name]) for name in sorted(_OF_CLIENTS & options.keys()))
    said = tuple(
        sorted(one for one in os.environ.items() if one[0].lower().startswith("aws_") or "proxy" in one[0].lower())
    )
    return _client(service, used, attempts, said, os.getpid())


@lru_cache(maxsize=8)
def _client(service: str, options: tuple[tuple[str, str], ...], attempts: int, said: object, process: int) -> Any:
    """Make a client, which takes a third of a second. Clients may be shared among threads, not with a forked child."""
    import boto3
    from botocore.config import Config

    given = dict(options)
    endpoint = given.get("aws_endpoint_url")
    return boto3.session.Session().client(
        service,
        region_name=given.get("aws_region", "us-east-1"),
        endpoint_url=endpoint,
        aws_access_key_id=given.get("aws_access_key_id"),
        aws_secret_access_key=given.get("aws_secret_access_key"),
        aws_session_token=given.get("aws_session_token"),
        config=Config(
            connect_timeout=5,
            retries={"max_attempts": attempts, "mode": "standard"},
            s3={"addressing_style": "path" if endpoint else "auto"},
        ),
    )
