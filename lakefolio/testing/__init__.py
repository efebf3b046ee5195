"""For the tests of projects that build on lakefolio: a real S3 server, a counting proxy, the storage contract.

``pytest_plugins = ["lakefolio.testing.fixtures"]`` in a ``conftest.py`` gives the fixtures ``s3_server``, ``s3_uri``,
``s3_proxy`` and ``lake_uri``. Needs the extra ``test``.
"""

from lakefolio.testing.need import need
from lakefolio.testing.proxy import Count, CountingProxy, Fault, Request
from lakefolio.testing.s3 import S3Server

__all__ = ["Count", "CountingProxy", "Fault", "Request", "S3Server", "need"]
