"""An operator that dies at any write: what others do meanwhile, and what the end must be."""
