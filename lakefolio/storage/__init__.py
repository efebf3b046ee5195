"""Objects under keys, on a local folder, S3, GCS, Azure or in memory: the only module that knows obstore.

A lake needs two things of a store that not all stores keep: :meth:`Store.create` has exactly one winner among all
writers of a key, and :meth:`Store.list` shows every object whose write has returned (FORMAT.md, "The store").
Vendor types and vendor errors stay inside of this package.
"""

from lakefolio.storage.addresses import same_bucket
from lakefolio.storage.opening import open_store, resolve_uri
from lakefolio.storage.store import Buffer, ObjectInfo, Store

__all__ = ["Buffer", "ObjectInfo", "Store", "open_store", "resolve_uri", "same_bucket"]
