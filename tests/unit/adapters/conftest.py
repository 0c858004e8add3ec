from collections.abc import Iterator

import pytest

from tests.support import s3


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3]:
    with s3.serve(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running
