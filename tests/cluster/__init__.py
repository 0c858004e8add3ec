"""A real one-node Kubernetes cluster for tests and the demo: `python -m tests.cluster up`."""

from tests.cluster.cluster import Cluster, add_gateway, down, leftovers, start, stop, up
from tests.cluster.errors import ClusterError
from tests.cluster.gateway import Gateway
from tests.cluster.images import Images, load_images
from tests.cluster.s3 import S3

__all__ = ["S3", "Cluster", "ClusterError", "Gateway", "Images", "add_gateway", "down", "leftovers", "load_images", "start", "stop", "up"]
