"""S3-compatible storage: small objects whole, large ones as streams, versions written once.

boto3 finds the credentials, the region and the endpoint as every AWS tool does, signs, and writes.
Reads go over connections of our own (`wire`), which follow no redirect: a storage that answers
"look there instead" is refused. See docs/adr/0004.

Every failure becomes Refused (a person must act) or Transient (later it may work) with a Reason.
Messages name the place and the host, never credentials, signatures or what the server wrote.
"""

from volary.adapters.storage.fake import InMemory
from volary.adapters.storage.protocol import DELETE_MOST, PIECE, Listed, Progress, Storage, exists
from volary.adapters.storage.s3 import S3, connect

__all__ = ["DELETE_MOST", "PIECE", "S3", "InMemory", "Listed", "Progress", "Storage", "connect", "exists"]
