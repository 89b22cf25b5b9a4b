"""One cluster for all tests that need one: it takes seconds to start."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray, started in this process; runs use the connection that is there."""
    pytest.importorskip("ray", reason="needs ray")
    from streamseg.runtime.cluster.joining import join

    membership = join(None)
    yield
    membership.close()
