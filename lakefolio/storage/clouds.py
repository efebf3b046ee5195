"""Open a bucket of Google Cloud Storage, a container of Azure, or a web server to read from."""

from __future__ import annotations

import os
from typing import Any

from obstore import store as vendor

from lakefolio.errors import InvalidInputError
from lakefolio.storage.addresses import Location, check_host_part
from lakefolio.storage.object_store import RemoteStore
from lakefolio.storage.options import CLIENT, RETRY, for_delta, truthy
from lakefolio.storage.store import Store

__all__ = ["open_az", "open_gs", "open_http"]


def open_gs(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    """Return the store of a bucket of Google Cloud Storage. Makes no request."""
    config: Any = {name: value for name, value in options.items() if name not in CLIENT | RETRY}
    opened = vendor.GCSStore(location.bucket, config=config, client_options=client, retry_config=retry)
    return RemoteStore(
        "gs",
        location.uri,
        opened,
        prefix=location.prefix,
        delta_options=lambda: for_delta("google_", options),
        given=options,
    )


def open_az(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    """Return the store of an Azure container. Makes no request.

    Raises:
        InvalidInputError: kind ``bad-option``: the storage account is not known.
    """
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
        delta_options=lambda: for_delta("azure_", named),
        given=options,
    )


def open_http(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    """Return the store of a web server, for reading."""
    client["allow_http"] = location.bucket.startswith("http://")
    address = f"{location.bucket}?{location.query}" if location.query else location.bucket
    opened = vendor.HTTPStore(address, client_options=client, retry_config=retry)
    return RemoteStore("http", location.bucket, opened)
