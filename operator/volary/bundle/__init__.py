"""What a bundle is: manifest, names, limits, digests. Pure: bytes in, values out."""
