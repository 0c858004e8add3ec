"""Reads an HTTP answer up to a limit: who answers is not trusted to end."""

import aiohttp


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None where it is compressed or longer than `limit` bytes."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)
